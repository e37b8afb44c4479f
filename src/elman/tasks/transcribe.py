"""transcribe: what is said in a sound, written down."""

from __future__ import annotations

import sys
import wave
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from elman import data
from elman.data import Vocabulary, audio, ctc
from elman.data.audio import Floats
from elman.data.ctc import Symbols
from elman.data.wav import WavPipe
from elman.errors import InputError
from elman.inspection import Compared, Inspected, Section
from elman.inspection.inspected import ROWS
from elman.runfolder import RunFolder
from elman.tasks import _transcribe_report as report
from elman.tasks._examples import fingerprint, hold_out, listed_fingerprint
from elman.tasks._inputs import Answer, is_file
from elman.tasks._options import SymbolOptions
from elman.tasks._task import Data, Scores, Task, sources
from elman.tasks._transcribe_data import RecordingColumns, Recordings, is_sound, read_recordings
from elman.tasks._transcribe_frames import Frames
from elman.tasks._transcribe_listening import Listener, Transcript
from elman.tasks._transcribe_options import (
    AugmentationOptions,
    Decoding,
    HearingOptions,
    Judging,
    RecordingOptions,
    Telling,
)
from elman.tasks._transcribe_scores import text_scores

if TYPE_CHECKING:
    from elman.nn.transcriber import TranscriberNetwork
    from elman.train.problem import Problem

_TRAINED = 200  # sounds of the training part that are judged where nothing is held out
_PIECE = 0.1  # seconds that --stream hears at once, at the most


@dataclass(kw_only=True)
class Transcriber(RecordingOptions, HearingOptions, AugmentationOptions, SymbolOptions, Task):
    """Writes down what is said in a sound, and when; as it comes, where the layers have one direction.

    The constructor takes the options as keywords (`elman train transcribe --help` lists them all). It learns from
    sounds and their texts alone, without knowing when each symbol is said: connectionist temporal classification
    (`data.ctc`).

    Attributes, after `fit` or `load`: `vocabulary_`, the symbols it writes; `frames_`, what it reads of a sound;
    `network_`, the torch model; and those of `Task`.

    Not covered: several speakers at once and who they are, punctuation that is not in the texts, other sounds than WAV
    in a pipe.

    >>> Transcriber(cell="gru", bidirectional=False).options()["time_reduction"]
    3
    """

    name: ClassVar[str] = "transcribe"
    compared: ClassVar[Compared] = Compared("word_error_rate", "")
    evaluating: ClassVar[type[Any]] = Judging
    predicting: ClassVar[type[Any]] = Telling

    # --- use

    def predict(self, sounds: Sequence[str | Path | Floats], **decoding: Any) -> list[str]:
        """The text of each sound: a file, or samples (N,) at the rate `frames_.rate`.

        decoding: `beam_size`, `language_model`, `language_weight`, `symbol_bonus`; see `elman predict RUN --help`.
        """
        return [transcript.text for transcript in self.transcripts(sounds, **decoding)]

    def transcripts(self, sounds: Sequence[str | Path | Floats], **decoding: Any) -> list[Transcript]:
        """`predict` with the words and their times."""
        if isinstance(sounds, str | Path):
            raise InputError("one sound, expected a list of them: predict([...]).")
        decoders = self._decoders(Decoding(**decoding))
        return [self._heard(self._samples(sound), decoders()) for sound in sounds]

    def listen(self, rate: int, **decoding: Any) -> Listener:
        """What hears a sound that comes piece by piece: `push` samples (n,) at `rate` hertz, read `text`, `finish`."""
        self._check_streams()
        return self._listener(rate, self._decoders(Decoding(**decoding))())

    def evaluate(self, data: Data, **options: Any) -> Scores:
        """Scores on tables: loss (nats a symbol of the texts that can be written), word_error_rate,
        character_error_rate, sentence_accuracy."""
        how = Judging(**options)
        decoders = self._decoders(how)
        found = read_recordings(sources(data), self.columns_)
        sounds = [sound.samples for sound in found.sounds(self.frames_.rate)]
        frames = [self.frames_.of(samples) for samples in sounds]
        targets = self._targets(found, frames, how.unwritable)
        heard = [self._heard(samples, decoders()).text for samples in sounds]
        return {"loss": self._loss(frames, targets), **text_scores(found.texts, heard)}

    def answers(self, inputs: Sequence[str], **options: Any) -> Iterator[Answer]:
        """The text of every sound file, of every sound a table names, and with `-` of a WAV on standard input."""
        how = Telling(**options)
        decoders = self._decoders(how)
        if how.stream:
            self._check_streams()
        for given in inputs:
            try:
                asked = self._asked(given)
            except InputError as error:
                yield Answer("", {"file": given, "error": str(error)}, problem=str(error))
                continue
            for name, path in asked:
                yield from self._answer(name, path, how, decoders())

    def baselines(self) -> dict[str, Scores]:
        """Whoever always says the most frequent text of the training part."""
        _, _, judged = self._judged_part
        ((usual, _),) = Counter(self._training.texts).most_common(1)
        return {"most frequent text": text_scores(judged.texts, [usual] * len(judged))}

    def inspected(self, inputs: Sequence[str]) -> Inspected:
        """The first sounds, and by how much the likeliest symbol of each step leads."""
        from elman.tasks._transcribe_training import inspected_sounds

        paths = [path for given in inputs for _, path in self._asked(given) if path is not None][:ROWS]
        if not paths:
            raise InputError("nothing to inspect: give a sound file, or a table that names some.")
        frames = [self.frames_.of(self._samples(path)) for path in paths]
        names = [self.vocabulary_.decode([symbol]) for symbol in range(len(self.vocabulary_))]
        return inspected_sounds(self.network_, frames, names, self.frames_.seconds)

    # --- what Task asks for

    @classmethod
    def example(cls, folder: Path) -> tuple[list[Path], dict[str, Any]]:
        """Sixty sounds of one to four tones; each tone is a letter, and a longer pause parts two words."""
        rng = np.random.default_rng(0)
        pitches = {"a": 400, "b": 700, "c": 1100, "가": 1700}
        lines = ["sound,text\n"]
        for number in range(60):
            parts, text = [np.zeros(400)], ""
            for place in range(rng.integers(1, 5)):
                if place and rng.random() < 0.3:
                    parts.append(np.zeros(800))
                    text += " "
                letter = str(rng.choice(list(pitches)))
                text += letter
                tone = np.sin(2 * np.pi * pitches[letter] * np.arange(600) / 8000)
                parts += [tone * rng.uniform(0.2, 0.8), np.zeros(400)]
            sound = np.concatenate(parts)
            sound += 0.01 * rng.standard_normal(len(sound))
            with wave.open(str(folder / f"tones{number}.wav"), "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes((sound * 32767).astype("<i2").tobytes())
            lines.append(f"tones{number}.wav,{text}\n")
        path = folder / "tones.csv"
        path.write_text("".join(lines), encoding="utf-8")
        return [path], {}

    def check(self) -> None:
        """Raise InputError for an option out of range, or one that goes ill with another."""
        super().check()
        if self.center == "sound" and not self.bidirectional:
            raise InputError(
                "center is sound, whose mean is known at its end, but the layers have one direction; "
                "give --center running."
            )

    def _prepare(self, given: list[Any]) -> Problem:
        columns = RecordingColumns(self.audio_column, self.text_column, self.group_column)
        found = read_recordings(given, columns)
        self.columns_ = found.columns
        sounds = found.sounds(self.sample_rate)
        rate = self.sample_rate or sounds[0].rate
        kept, held = np.arange(len(found)), np.empty(0, np.int64)
        if isinstance(self.validation, str):
            self._held = read_recordings([self.validation], self.columns_)
            held_sounds = self._held.sounds(rate)
        else:
            kept, held = hold_out(found.keys(), [0] * len(found), self.validation, self.seed)
            self._held, held_sounds = found.take(held), [sounds[row] for row in held]
        if self.train_fraction < 1:
            share = 1 - self.train_fraction
            kept = kept[hold_out(range(len(kept)), [0] * len(kept), share, self.seed + 1)[0]]
        self._training = found.take(kept)
        self._training_sounds = [sounds[row].samples for row in kept]
        self._held_sounds = [sound.samples for sound in held_sounds]
        mixed = [sound.channels > 1 for sound in (*sounds, *(held_sounds if not len(held) else ()))]
        self._mixed = sum(mixed)
        self.vocabulary_ = self.build_vocabulary(_apart(self._training.texts), unknown=False)
        self.frames_ = Frames.learn(self._training_sounds, rate, self)
        self._training_frames = [self.frames_.of(samples) for samples in self._training_sounds]
        held_frames = [self.frames_.of(samples) for samples in self._held_sounds]
        unwritable = "error" if isinstance(self.validation, str) else "count"
        self._training_targets = cast(
            "list[Symbols]",
            self._targets(self._training, self._training_frames, "error", unknown="map"),
        )
        self._held_targets = self._targets(self._held, held_frames, unwritable)
        if len(self._held) and not any(target is not None for target in self._held_targets):
            raise InputError(
                "each held-out text has a symbol that no text of the training part has, so that nothing can be judged;"
                " give more recordings, or --validation 0."
            )
        self.network_ = self._build()
        from elman.tasks._transcribe_training import TranscriptionProblem

        problem = TranscriptionProblem(self)
        self._padding = problem.batches.padding
        return problem

    def _facts(self, given: list[Any]) -> dict[str, Any]:
        facts: dict[str, Any] = {"recordings": fingerprint(given)}
        if isinstance(self.validation, str):
            facts["validation"] = fingerprint([self.validation])
        facts["sounds"] = listed_fingerprint([*self._training.paths, *self._held.paths], "sound files")
        seconds = sum(map(len, self._training_sounds)) / self.frames_.rate
        return facts | {
            "training_sounds": len(self._training),
            "held_out_sounds": len(self._held),
            "training_seconds": round(seconds, 1),
            "sample_rate": self.frames_.rate,
            "sounds_of_several_channels_mixed_down": self._mixed,
            "distinct_symbols": len(self.vocabulary_),
            "padding": round(self._padding, 4),
        }

    def _save(self, run: RunFolder) -> None:
        self.vocabulary_.save(run.path / "vocabulary.json")
        run.write_json("task.json", {"columns": self.columns_.values(), "frames": self.frames_.values()})

    def _restore(self, run: RunFolder) -> None:
        self.vocabulary_ = Vocabulary.load(run.path / "vocabulary.json")
        where, values = run.path / "task.json", run.read_json("task.json")
        try:
            self.columns_ = RecordingColumns(**values["columns"])
            self.frames_ = Frames.restored(values["frames"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{where}: damaged ({error!r}); restore the file or train again.") from error
        self.network_ = self._with_weights(self._build(), run)

    def _finish(self, run: RunFolder) -> None:  # noqa: ARG002
        sounds, _, _ = self._judged_part
        self._judged_heard = [self._heard(samples, ctc.Greedy()) for samples in sounds]

    def _final_scores(self, run: RunFolder) -> Scores:  # noqa: ARG002
        sounds, targets, judged = self._judged_part
        heard = [transcript.text for transcript in self._judged_heard]
        frames = [self.frames_.of(samples) for samples in sounds]
        return {"loss": self._loss(frames, targets), **text_scores(judged.texts, heard)}

    def _judged(self) -> str:
        count = len(self._judged_part[0])
        return f"{count:,} held-out sounds" if len(self._held) else (
            f"{count:,} sounds of the training part: nothing was held out"
        )  # fmt: skip

    def _sections(self) -> list[Section]:
        sounds, _, judged = self._judged_part
        heard = [transcript.text for transcript in self._judged_heard]
        from elman.tasks._transcribe_training import logs_of

        frames = self.frames_.of(sounds[0])
        shown = report.hearing_section(
            judged.places[0],
            frames,
            logs_of(self.network_, [frames])[0],
            self._judged_heard[0],
            self.vocabulary_,
            self.frames_.seconds,
        )
        return [*report.error_sections(judged.places, judged.texts, heard), shown]

    def _usage(self, run: RunFolder) -> list[str]:
        stream = f"arecord -f S16_LE -r {self.frames_.rate} | elman predict {run.path} - --stream"
        python = f'import elman\n\nmodel = elman.load("{run.path}")\nprint(model.predict(["SOUND.wav"]))'
        commands = [f"elman predict {run.path} SOUND.wav --times", f"elman evaluate {run.path} TABLE"]
        return [*commands, *([] if self.bidirectional else [stream]), python]

    # --- within

    @property
    def _judged_part(self) -> tuple[list[Floats], list[Symbols | None], Recordings]:
        """Sounds, symbols and texts that scores are of: those held out, or else some of those learned from."""
        if len(self._held):
            return self._held_sounds, self._held_targets, self._held
        part = slice(min(_TRAINED, len(self._training)))
        targets: list[Symbols | None] = list(self._training_targets[part])
        return self._training_sounds[part], targets, self._training.take(range(part.stop))

    def _build(self) -> TranscriberNetwork:
        from elman.nn.transcriber import TranscriberNetwork

        size = self.frames_.mels * self.time_reduction
        return TranscriberNetwork(
            self.recurrent(size, bidirectional=self.bidirectional),
            len(self.vocabulary_),
            time_reduction=self.time_reduction,
            dropout=self.dropout,
            variational=self.variational,
        )

    def _targets(
        self, found: Recordings, frames: Sequence[Floats], unwritable: str, unknown: str = "error"
    ) -> list[Symbols | None]:
        """The symbols of each text; None for one that cannot be written, where these are counted."""
        targets: list[Symbols | None] = []
        for text, place, path, rows in zip(found.texts, found.places, found.paths, frames, strict=True):
            try:
                targets.append(self._target(text, f"{place}: {path.name}", len(rows), unknown))
            except InputError:
                if unwritable == "error":
                    raise
                targets.append(None)
        return targets

    def _target(self, text: str, place: str, frames: int, unknown: str) -> Symbols:
        """The symbols of a text; InputError for one never seen in training, or more than the sound has steps for."""
        try:
            symbols = self.vocabulary_.encode(text, unknown).astype(np.int64)
        except data.UnknownSymbolError as error:
            raise InputError(
                f"{place}: the text has {error.symbol!r}, which no text of the training part has. Train with such"
                " texts, or let evaluate count it as an error: --unwritable count."
            ) from error
        steps, needed = -(-frames // self.time_reduction), ctc.steps_needed(symbols.tolist())
        if steps < needed:
            raise InputError(
                f"{place}: the text needs {needed} steps, but the sound has {steps}, of "
                f"{1000 * self.frames_.seconds * self.time_reduction:.0f} ms each. Is it the right text? If it is, "
                "train with a smaller --time-reduction or --hop, or leave it out."
            )
        return symbols

    def _decoders(self, how: Decoding) -> Any:
        """What makes a decoder for each sound."""
        how.check()
        self._fitted()
        if how.beam_size == 1:
            return ctc.Greedy
        language = None
        if how.language_model is not None:
            from elman.tasks._transcribe_language import load_language

            language = load_language(how.language_model, self.vocabulary_)
        weight = 0.5 if how.language_weight is None else how.language_weight
        return lambda: ctc.PrefixBeam(how.beam_size, language, weight=weight, bonus=how.symbol_bonus)

    def _listener(self, rate: int, decoder: ctc.Decoder) -> Listener:
        return Listener(self.frames_, self.network_, self.vocabulary_, decoder, rate)

    def _loss(self, frames: Sequence[Floats], targets: Sequence[Symbols | None]) -> float:
        """Nats a symbol, over the texts that can be written; infinite where there are none."""
        from elman.tasks._transcribe_training import logs_of, loss_of

        return loss_of(self.network_, logs_of(self.network_, frames), targets)

    def _heard(self, samples: Floats, decoder: ctc.Decoder) -> Transcript:
        """A whole sound at the rate of the model, exactly as it is heard in pieces."""
        listener = self._listener(self.frames_.rate, decoder)
        listener.push(samples)
        return listener.finish()

    def _samples(self, sound: str | Path | Floats) -> Floats:
        if isinstance(sound, str | Path):
            return audio.read_sound(sound, self.frames_.rate).samples
        samples = np.asarray(sound, np.float32)
        if samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
            raise InputError(
                f"a sound of shape {samples.shape}, expected finite samples (N,) at {self.frames_.rate} hertz."
            )
        return samples

    def _check_streams(self) -> None:
        if self.bidirectional:
            raise InputError(
                "this model reads sounds from both ends, so that nothing can be told before the end; "
                "train one with --no-bidirectional."
            )

    def _asked(self, given: str) -> list[tuple[str, Path | None]]:
        """The sounds that a word of the command line stands for, by name; None is standard input."""
        if given == "-":
            return [("standard input", None)]
        if is_sound(given) or not is_file(given):
            return [(given, Path(given))]
        return [(str(path), path) for path in read_recordings([given], self.columns_, texts=False).paths]

    def _answer(self, name: str, path: Path | None, how: Telling, decoder: ctc.Decoder) -> Iterator[Answer]:
        """What is said in a sound; with --stream, what was heard before its end, too."""
        about: dict[str, Any] = {"file": name}
        listener, before, note = None, "", ""
        try:
            rate, channels, pieces = _pieces(path, self.frames_.rate, how.stream)
            if channels > 1:
                note = f"{name}: {channels} channels, mixed down to one."
                about["channels"] = channels
            listener = self._listener(rate, decoder)
            for piece in pieces:
                text = listener.push(piece)
                if how.stream and text != before:
                    told = {**about, "seconds": round(listener.seconds, 3), "text": text, "final": False}
                    yield Answer(f"{listener.seconds:.2f}\t{text}", told, note)
                    before, note = text, ""
        except InputError as error:
            text = "" if listener is None else listener.text
            line = f"{listener.seconds:.2f}\t{text}" if listener is not None and how.stream else text
            values = {**about, "text": text, "error": str(error)}
            yield Answer("" if how.times else line, values, note, str(error))
            return
        found = listener.finish()
        values = {**about, **found.values()}
        line = found.text
        if how.stream:
            values["final"] = True
            line = f"{found.seconds:.2f}\t{line}"
        if how.times:
            line = "\n".join(f"{name}\t{w.start:.2f}\t{w.end:.2f}\t{w.word}" for w in found.words)
        yield Answer(line, values, note)


def _apart(texts: Sequence[str]) -> Iterator[str]:
    """Texts with a blank between them."""
    return (f"{text} " for text in texts)


def _pieces(path: Path | None, rate: int, stream: bool) -> tuple[int, int, Iterator[Floats]]:
    """Rate, channels and samples of a file, or of a WAV on standard input as they come; small pieces to be streamed."""
    if path is None:
        pipe = WavPipe(cast(Any, sys.stdin.buffer))
        rate, channels, blocks = pipe.rate, pipe.channels, pipe.blocks()
    else:
        samples, rate, channels = audio.read_sound(path, rate)
        blocks = iter([samples])
    if not stream:
        return rate, channels, blocks
    size = max(1, round(_PIECE * rate))
    return rate, channels, (block[at : at + size] for block in blocks for at in range(0, len(block), size))


TASK = Transcriber
