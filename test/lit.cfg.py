# lit: FileCheck tests of IR, passes and the commands.
import os
import lit.formats

config.name = "graphc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".ir", ".mlir", ".test"]
config.excludes = ["models", "unit", "unit-mlir", "properties", "fuzz", "Inputs"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.graphc_build, "test")
config.environment["PATH"] = os.pathsep.join(
    [os.path.join(config.graphc_build, "bin"), config.llvm_tools, config.environment["PATH"]])
config.environment["GRAPHC_CACHE_DIR"] = ""  # tests compile, unless they test the cache
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "GRAPHC_TEST_DATA"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
config.substitutions.append(("%models", os.path.join(config.test_source_root, "models")))
