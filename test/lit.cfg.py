# lit: FileCheck tests of IR, passes and the commands.
import os
import subprocess
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
config.substitutions.append(("%compare", os.path.join(os.path.dirname(config.test_source_root), "tools", "bench", "compare")))
# Draws the chart of tools/bench/compare; nothing else needs it.
if subprocess.run(["python3", "-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('matplotlib') is None)"]).returncode == 0:
    config.available_features.add("matplotlib")
