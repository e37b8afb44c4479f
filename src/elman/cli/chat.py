"""Talk with a run of the task translate: a line in, an answer out."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from elman.cli._output import Output, prose, write
from elman.cli._parser import Parser, add_options, add_output_flags, read_options
from elman.errors import InputError, check_choice
from elman.settings import from_text

if TYPE_CHECKING:
    from elman.tasks import Conversation

_PROMPT = "> "
_REMEMBERED = 1000  # lines of earlier conversations that the arrow keys bring back
_HELP = """\
/temperature T  0: the best answer; more: answers are drawn, the bolder the higher T
/reset          start again: what was said is forgotten
/save FILE      write the conversation to a new file, a line said and a line answered in turn
/help           this help
/quit           leave (as the end of the input does)"""


def run(arguments: Sequence[str]) -> int:
    from elman.tasks import Talking

    parser = Parser("chat", __doc__)
    parser.add_argument("run", metavar="RUN", help="run folder")
    add_options(parser, Talking)
    add_output_flags(parser)
    given = parser.parse(arguments)
    from elman import api

    output = Output(given)
    chat = _Chat(api.converse(given.run, **read_options(Talking, given)), output)
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    if interactive:
        output.say("Write a line; /help tells the rest.")
    for line in _typed() if interactive else (line.rstrip("\n") for line in sys.stdin):
        if chat.hear(line):
            break
    if output.json:
        turns = [{"said": turn.said, "answered": turn.answered} for turn in chat.conversation.turns]
        output.result({"run": given.run, "turns": turns}, "")
    from elman.cli import DONE, WRONG_INPUT

    return DONE if interactive or not chat.refused else WRONG_INPUT


def _typed() -> Iterator[str]:
    """Lines from a terminal, edited by its keys, with those of earlier conversations at hand."""
    readline = None
    if importlib.util.find_spec("readline"):
        readline = importlib.import_module("readline")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    remembered = state / "elman" / "chat_history"
    if readline and remembered.is_file() and os.access(remembered, os.R_OK):
        readline.read_history_file(remembered)
    try:
        while True:
            try:
                yield input(_PROMPT)
            except EOFError:
                write("\n")
                return
    finally:
        if readline and os.access(_existing(remembered.parent), os.W_OK):
            remembered.parent.mkdir(parents=True, exist_ok=True)
            readline.set_history_length(_REMEMBERED)
            readline.write_history_file(remembered)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())


class _Chat:
    """A conversation line by line; `refused` counts the lines that could not be answered or obeyed."""

    def __init__(self, conversation: Conversation, output: Output) -> None:
        self.conversation, self.output, self.refused = conversation, output, 0
        self._commands: dict[str, Callable[[str], None]] = {
            "temperature": self._temperature,
            "reset": lambda _: self.conversation.reset(),
            "save": self._save,
            "help": lambda _: write(f"{_HELP}\n"),
        }

    def hear(self, line: str) -> bool:
        """Answer a line, or obey it; True at the wish to leave. What is wrong with a line is told, and no more."""
        try:
            if line.startswith("/"):
                return self._obey(line)
            if line.strip():
                self._answer(line)
        except InputError as error:
            self.refused += 1
            print(f"elman: {error}", file=prose(), flush=True)
        return False

    def _answer(self, line: str) -> None:
        if unknown := self.conversation.unknown(line):
            self.output.say(f"(never seen in training: {', '.join(map(repr, unknown))})")
        for piece in self.conversation.reply(line):
            if not self.output.json:
                write(piece)
        if not self.output.json:
            write("\n")

    def _obey(self, line: str) -> bool:
        name, _, rest = line[1:].partition(" ")
        if check_choice("command", name, [*self._commands, "quit"]) == "quit":
            return True
        self._commands[name](rest.strip())
        return False

    def _temperature(self, text: str) -> None:
        how = self.conversation.how
        given = from_text(type(how), {"temperature": text}, lambda name: f"/{name}")
        self.conversation.change(**given)

    def _save(self, name: str) -> None:
        if not name:
            raise InputError("/save: which file? Say /save FILE.")
        lines = [f"{turn.said}\n{turn.answered}\n" for turn in self.conversation.turns]
        try:
            with Path(name).open("x", encoding="utf-8") as file:
                file.writelines(lines)
        except FileExistsError:
            raise InputError(
                f"{name}: is there already, and nothing is overwritten; choose another file."
            ) from None
        except OSError as error:
            raise InputError(f"{name}: cannot be written: {error.strerror}.") from error
        self.output.say(f"{len(lines)} turns written to {name}")
