"""Continue a text with a trained language model; what it writes appears as it is written."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from elman.cli._output import Output, write
from elman.cli._parser import Parser, add_options, add_output_flags, read_options


def run(arguments: Sequence[str]) -> int:
    from elman.tasks import Sampling

    parser = Parser("generate", __doc__)
    parser.add_argument("run", metavar="RUN", help="run folder")
    parser.add_argument("--prompt", metavar="TEXT", default="", help="text to continue (default: a new text)")
    add_options(parser, Sampling)
    add_output_flags(parser)
    given = parser.parse(arguments)
    from elman import api

    output = Output(given)
    samples = api.generate(given.run, given.prompt, **read_options(Sampling, given))
    if output.json:
        texts = ["".join(pieces) for pieces in samples]
        values = {"run": given.run, "prompt": given.prompt, "text": texts[0], "texts": texts}
        output.result(values, "\n".join(texts))
        return 0
    for pieces in samples:
        for piece in itertools.chain([given.prompt], pieces, ["\n"]):
            write(piece)
    return 0
