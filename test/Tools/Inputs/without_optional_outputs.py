"""Prints an imported graph as if it had never had optional outputs: no container, no `optional`, attention with one
result.
usage: without_optional_outputs.py MODEL.ir
"""
import re
import sys

text = open(sys.argv[1]).read()
text = re.sub(r"^ *%\S+ = (container|optional) .*\n", "", text, flags=re.M)
# output logits = .., hidden_states = %x : !layer.container<..>, attentions = .., cache = ..
text = re.sub(r"\w*(hidden_states|attentions) = %\S+ : !layer\.container<.*?>>, ", "", text)
text = re.sub(r"\w*(hidden_states|attentions) = %\S+ : !layer\.container<[^<>]*(<[^<>]*>[^<>]*)*>, ", "", text)
text = re.sub(r"(layer\.graph .*? -> \(tensor<[^>]*>), .*, !cache\)", r"\1, !cache)", text)
text = re.sub(r"(layer\.graph .*? -> \()!layer.container<.*, !cache\)", r"\1!cache)", text)  # of an encoder
# %y, %weights = attention .. -> (T, W)
text = re.sub(r"(%\S+), %\S+ = (attention .*) -> \((\S+), \S+\)", r"\1 = \2 -> \3", text)
sys.stdout.write(text)
