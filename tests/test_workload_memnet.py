"""Memory networks: bAbI's format, the generators of its 20 task types, the encoding, and the net's own promises."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers.small_runs import babi, train
from whitewolf import cli
from whitewolf.workloads import get, plots
from whitewolf.workloads.babi import Coder, Question, generate, parse, read, tokens
from whitewolf.workloads.memnet import MemoryNetwork, aged

PUBLISHED = """1 Mary moved to the bathroom.
2 John went to the hallway.
3 Where is Mary? \tbathroom\t1
4 Daniel went back to the hallway.
5 Where is Daniel? \thallway\t4
1 Sandra journeyed to the garden.
2 Where is Sandra? \tgarden\t1
"""


def test_the_published_format_is_read() -> None:
    found = parse(PUBLISHED, "qa1")
    assert [q.answer for q in found] == ["bathroom", "hallway", "garden"]
    assert found[1].story == ("Mary moved to the bathroom.", "John went to the hallway.", "Daniel went back to the hallway.")
    assert (
        found[1].support == (2,)
        and found[2].story == ("Sandra journeyed to the garden.",)
        and found[0].question == "Where is Mary?"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.unlink(), "expected bAbI's qa1_*_train.txt in {0}, found none"),
        (lambda f: f.write_text(""), "{1}: expected text, got an empty file"),
        (lambda f: f.write_text("Mary moved.\n"), "{1}: expected a number and a sentence in line 1"),
        (lambda f: f.write_text("1 Mary moved.\n"), "{1}: expected questions (a line with a tab and an answer), got none"),
        (lambda f: f.write_text("1 Where is Mary?\t\t\n"), "{1}: expected an answer after the tab in line 1"),
        (
            lambda f: f.write_text("1 Mary moved.\n2 Where is Mary?\tgarden\t7\n"),
            "{1}: expected numbers of sentences before line 2",
        ),
    ],
)
def test_files_that_are_not_babi_s_are_named_in_one_line(
    change: Any, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = babi(tmp_path)
    file = folder / "qa1_single-supporting-fact_train.txt"
    change(file)
    assert train("memnet", "--data", folder, "--out", tmp_path / "run") == 1
    err = capsys.readouterr().err
    assert words.format(folder, file) in err and err.count("\n") == 1


def test_there_are_tasks_1_to_20(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("memnet", "--task", 21, "--out", tmp_path) == 1
    assert "expected --task from 1 to 20, got 21" in capsys.readouterr().err
    assert train("memnet", "--questions", 0, "--out", tmp_path) == 1
    assert "expected --questions >= 1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        train("memnet", "--task", "two")
    assert "expected a number or all, got 'two'" in capsys.readouterr().err


def test_all_tasks_learn_side_by_side_as_each_would_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def task(which: Any) -> Any:
        given = ["train", "memnet", "--quick", "--questions", "40", "--batch-size", "4", "--task", str(which)]
        ww.manual_seed(0)
        return get("memnet").setup(cli.parser().parse_args(given))

    every, batches = task("all"), []
    own = {which: task(which) for which in (1, 9, 20)}
    for which, alone in own.items():
        alone.model.load_state_dict(every.parts[which - 1].model.state_dict())
    for batch in itertools.islice(every.loader, 3):
        batches.append(batch)
        every.step(batch, 0.5)
    for which, alone in own.items():
        for batch in batches:
            alone.step(batch[4 * which - 4 : 4 * which], 0.5)
        for name, weight in alone.model.state_dict().items():
            assert weight.numpy().tobytes() == every.parts[which - 1].model.state_dict()[name].numpy().tobytes(), (which, name)
    found, errors = every.evaluate(), [part.evaluate()["test_error"] for part in every.parts]
    assert found["mean_error"] == pytest.approx(np.mean(errors)) and found["failed"] == sum(e > 0.05 for e in errors) > 0
    shown = every.report()
    assert len(shown) == 20 and shown[8] == f"task  9: {100 * errors[8]:5.1f} % of the answers are wrong"
    if plots.available():
        assert {path.name for path in every.plot([found | {"epoch": 1, "loss": 1.0, "train_accuracy": 0.5}], tmp_path)} == {
            "errors.png", "curves.png",
        }  # fmt: skip


@pytest.mark.parametrize("task", range(1, 21))
def test_stories_of_each_task_prove_their_answers(task: int) -> None:
    found = generate(task, 200, seed=1)
    assert found == generate(task, 200, seed=1) != generate(task, 200, seed=2)
    answers = {q.answer for q in found}
    assert len(answers) >= 2 and max(sum(q.answer == a for q in found) for a in answers) < 0.8 * len(
        found
    )  # nothing to win by one word
    for q in found:
        assert q.support and max(q.support) < len(q.story) and q.question.endswith("?")
        about = {w for w in tokens(q.question) if w not in ("the", "is", "of", "to", "in")}
        assert any(about & set(tokens(q.story[n])) for n in q.support)


def where_is(q: Question, who: str, until: int | None = None) -> str:
    """Where the story says that a person went last, found by reading it again."""
    place = ""
    for sentence in q.story[:until]:
        match = re.match(rf"{who} \w+(?: back)? to the (\w+)\.", sentence)
        place = match[1] if match else place
    return place


def test_answers_of_tasks_1_2_and_6_are_those_of_another_reading() -> None:
    for q in generate(1, 200, 3):
        assert where_is(q, q.question.split()[2][:-1]) == q.answer
    for q in generate(6, 200, 3):
        _, who, _, _, place = q.question[:-1].split()
        assert ("yes" if where_is(q, who) == place else "no") == q.answer
    for q in generate(2, 200, 3):
        thing, holder, spot = q.question[:-1].split()[3], "", ""
        for n, sentence in enumerate(q.story):
            if f"the {thing}" in sentence:
                who, verb = sentence.split()[:2]
                held = verb in ("got", "took", "grabbed", "picked")
                holder, spot = (who, "") if held else ("", where_is(q, who, n))
        assert (where_is(q, holder) if holder else spot) == q.answer


def test_answers_of_tasks_7_and_8_are_those_of_another_reading() -> None:
    for task in (7, 8):
        for q in generate(task, 200, 4):
            hands: dict[str, list[str]] = {}
            for sentence in q.story:
                who, verb, *rest = sentence.rstrip(".").split()
                thing = next((w for w in rest if w in ("football", "apple", "milk")), None)
                if thing is None:
                    continue
                if verb in ("got", "took", "grabbed", "picked"):
                    hands.setdefault(who, []).append(thing)
                else:
                    hands[who].remove(thing)
                    if verb in ("gave", "handed", "passed"):
                        hands.setdefault(rest[-1], []).append(thing)
            things = hands.get(q.question[:-1].split()[-2], [])
            assert q.answer == (("none", "one", "two", "three")[len(things)] if task == 7 else ",".join(things) or "nothing")


def test_sentences_are_encoded_as_the_paper_says() -> None:
    coder = Coder([Question(("Mary saw the old wolf.",), "Who?", "Mary", (0,))])
    ww.manual_seed(1)
    d, net = 4, MemoryNetwork(coder.bags(), 3, 4, hops=1)
    split = ["mary", "saw", "the", "old", "wolf"]
    expected = np.zeros(d)
    for j, word in enumerate(split, 1):
        vector = net.words_0.numpy()[coder.words[word]]
        for k in range(1, d + 1):
            expected[k - 1] += ((1 - j / 5) - (k / d) * (1 - 2 * j / 5)) * vector[k - 1]
    np.testing.assert_allclose(net.sentences(0).numpy()[coder.sentences["Mary saw the old wolf."]], expected, rtol=1e-5, atol=1e-6)


def test_weights_are_on_memories_alone_and_linear_start_leaves_the_softmax_out() -> None:
    questions = generate(1, 40, 0)
    coder = Coder(questions)
    stories, asked, _ = coder.code(questions, 20)
    ww.manual_seed(2)
    net = MemoryNetwork(coder.bags(), 30, 8, hops=3)
    parts = [ww.asarray(a) for a in (stories, aged(stories, None), asked)]
    _, seen = net(*parts)
    for p in seen:
        assert (p.numpy()[stories == 0] == 0).all() and np.allclose(p.numpy().sum(1), 1, atol=1e-5)
    _, linear = net(*parts, linear=True)
    assert not np.allclose(linear[0].numpy().sum(1), 1) and (linear[0].numpy()[stories == 0] == 0).all()


def test_noise_only_makes_memories_older() -> None:
    stories = np.array([[3, 2, 1, 0]] * 200)
    plain, noisy = aged(stories, None), aged(stories, np.random.default_rng(0))
    assert plain[0].tolist() == [1, 2, 3, 0] and (noisy[:, 3] == 0).all()
    assert ((noisy - plain)[:, :3] >= 0).all() and (np.diff(noisy[:, :3], axis=1) >= 1).all() and (noisy > plain).any()


def test_read_takes_the_task_s_own_files(tmp_path: Path) -> None:
    learn, test = read(babi(tmp_path), 1)
    assert len(learn) == 60 and len(test) == 20
    archive = tmp_path / "archive" / "tasks_1-20_v1-2"
    archive.mkdir(parents=True)
    (tmp_path / "babi").rename(archive / "en-10k")
    assert read(tmp_path / "archive", 1) == (learn, test)
