"""Frames: what is whole is found, in order; what is not is skipped, never taken for an event."""

from hypothesis import given
from hypothesis import strategies as st

from leverloop.emit.frame import ACTION, MAX_FRAME_BYTES, TRADE, Frame, parse_frames, written

Contents = tuple[int, bytes, bytes]
contents = st.lists(
    st.tuples(st.sampled_from([ACTION, TRADE]), st.binary(max_size=8), st.binary(max_size=40)), max_size=8
)


def frames_of(items: list[Contents]) -> list[Frame]:
    return [Frame(number, *item) for number, item in enumerate(items)]


@given(contents, st.data())
def test_what_was_cut_off_anywhere_is_read_up_to_there(items: list[Contents], data: st.DataObject) -> None:
    frames = frames_of(items)
    pieces = [written(frame) for frame in frames]
    whole = b"".join(pieces)
    cut = data.draw(st.integers(0, len(whole)))
    kept = [frame for number, frame in enumerate(frames) if len(b"".join(pieces[: number + 1])) <= cut]
    found = parse_frames(whole[:cut], final=True)
    assert found.frames == kept
    assert found.consumed_bytes == cut
    assert found.damaged_bytes == cut - len(b"".join(pieces[: len(kept)]))


@given(contents.filter(bool), st.data())
def test_a_damaged_byte_costs_its_own_frame_and_no_other(items: list[Contents], data: st.DataObject) -> None:
    frames = frames_of(items)
    whole = bytearray(b"".join(map(written, frames)))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    hit = next(n for n in range(len(frames)) if at < len(b"".join(map(written, frames[: n + 1]))))
    found = parse_frames(bytes(whole), final=True)
    assert found.frames == frames[:hit] + frames[hit + 1 :]
    assert found.damaged_bytes == len(written(frames[hit]))


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_no_frames(data: bytes) -> None:
    assert parse_frames(data, final=True) == ([], len(data), len(data))


@given(contents, st.integers(1, 100), st.binary(max_size=30))
def test_pieces_give_what_the_whole_gives(items: list[Contents], step: int, rubbish: bytes) -> None:
    frames = frames_of(items)
    whole = b"".join(map(written, frames)) + rubbish
    found: list[Frame] = []
    at = end = 0
    while at < len(whole):
        end = min(max(end, at) + step, len(whole))
        parsed = parse_frames(whole[at:end], final=end == len(whole), above=found[-1].number if found else -1)
        found += parsed.frames
        at += parsed.consumed_bytes
    assert found == frames


def test_rubbish_longer_than_any_frame_does_not_hold_up_what_follows() -> None:
    frame = Frame(5, ACTION, b"t1", b"{}")
    piece = b"\0" * 2 * MAX_FRAME_BYTES
    skipped = parse_frames(piece, final=False)
    assert skipped.frames == []
    rest = piece[skipped.consumed_bytes :] + written(frame)
    assert parse_frames(rest, final=True).frames == [frame]


def test_a_number_that_was_there_before_is_none_of_ours() -> None:
    old, new = Frame(3, TRADE, b"t1", b"old"), Frame(4, TRADE, b"t1", b"new")
    assert parse_frames(written(new) + written(old), final=True).frames == [new]
    assert parse_frames(written(old) + written(new), final=True, above=3).frames == [new]
