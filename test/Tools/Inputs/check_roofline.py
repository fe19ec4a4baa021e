"""Checks a roofline picture: well-formed XML that needs nothing from outside; a mark and a
line of the list for each run and kind of kernel, inside the document; titles, axes and
limits named.
usage: check_roofline.py FILE --runs N --kernels N_A_RUN
"""
import argparse
import xml.etree.ElementTree as ElementTree

SVG = "{http://www.w3.org/2000/svg}"


def main(options):
    root = ElementTree.parse(options.file).getroot()
    assert root.tag == SVG + "svg", root.tag
    assert all("href" not in name for element in root.iter() for name in element.attrib)
    texts = [element.text for element in root.iter(SVG + "text")]
    panels = 1 + (options.runs if options.kernels else 0)
    assert texts.count("operations a second") == panels and texts.count("operations for each byte that must be read") == panels, texts
    marks = [element for element in root.iter() if element.get("class") == "point"]
    assert len(marks) == options.runs * (1 + options.kernels), len(marks)
    width, height = float(root.get("width")), float(root.get("height"))
    for mark in marks:
        x, y = (float(mark.get("cx", mark.get("x"))), float(mark.get("cy", mark.get("y"))))
        assert 0 < x < width and 0 < y < height, (x, y)
        assert mark.find(SVG + "title").text in texts, mark.find(SVG + "title").text
    read = [text for text in texts if "read " in text and text.endswith("B/s")]
    peaks = [text for text in texts if "f32 multiply-adds " in text and text.endswith("/s")]
    assert len(read) >= panels and len(peaks) >= panels, texts


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--kernels", type=int, required=True)
    main(parser.parse_args())
