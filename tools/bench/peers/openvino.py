"""OpenVINO: exported by optimum-intel as a model with state, run by its own runtime."""
NAME = "openvino"
TITLE = "OpenVINO"
ENVIRONMENT = "openvino"
PACKAGES = ["optimum-intel[openvino]", "openvino", "numpy"]
SETTINGS = ("exported by optimum-intel, head on the last token only (as openvino.genai cuts it), latency hint (its default), "
            "`INFERENCE_PRECISION_HINT` and `KV_CACHE_PRECISION` bf16 or f32 (the default cache is 8 bits wide)")
PRECISION = {"bf16": "bf16", "f32": "f32"}


def keep_last_row(model):
    """Lets the head see the last token only."""
    from openvino import opset13
    head = next(output.get_node() for output in model.outputs if "logits" in output.get_names())
    node = head.input_value(0).get_node()
    while node.get_type_name() != "MatMul":
        node = node.input_value(0).get_node()
    last = opset13.slice(node.input_value(0), [-1], [2**31 - 1], [1], [1])
    node.input(0).replace_source_output(last.output(0))
    model.validate_nodes_and_infer_types()


def prepare(checkpoint, folder, dtype):
    import openvino
    from optimum.exporters.openvino import main_export
    main_export(str(checkpoint), folder / "exported", task="text-generation-with-past", convert_tokenizer=False)
    model = openvino.Core().read_model(folder / "exported/openvino_model.xml")
    keep_last_row(model)
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)
    return folder / "model.xml"


class Model:
    def __init__(self, artefact, dtype, threads, capacity):
        import numpy
        import openvino
        self.numpy = numpy
        compiled = openvino.Core().compile_model(artefact, "CPU", {
            "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": PRECISION[dtype], "KV_CACHE_PRECISION": PRECISION[dtype]})
        got = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if got not in (dtype, {"bf16": "bfloat16", "f32": "float"}[dtype]):
            raise RuntimeError(f"inference precision must be {dtype}, got {got}")
        self.request = compiled.create_infer_request()
        self.names = {name for port in compiled.inputs for name in port.get_names()}
        self.length = 0

    def forward(self, ids):
        count, begin = len(ids), self.length
        self.length += count
        inputs = {"input_ids": self.numpy.array([ids], self.numpy.int64),
                  "attention_mask": self.numpy.ones((1, self.length), self.numpy.int64),
                  "position_ids": self.numpy.arange(begin, self.length, dtype=self.numpy.int64)[None],
                  "beam_idx": self.numpy.zeros(1, self.numpy.int32)}
        return self.request.infer({name: value for name, value in inputs.items() if name in self.names},
                                  share_inputs=True, share_outputs=True)[0]

    def prefill(self, ids):
        self.request.reset_state()
        self.length = 0
        return self.forward(ids)[0, -1]

    def decode(self, ids):
        for index in ids:
            self.forward([index])
