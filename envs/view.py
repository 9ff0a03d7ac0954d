"""What an agent sees of a grid: MiniGrid's square view ahead of it, with or without walls in the way.

Source: the rules of MiniGrid's released package (``gen_obs_grid`` and ``process_vis``). Two forms of the same
function: cell by cell for views of any size, and by words of eight cells for views up to 7 × 7.
"""

import numpy as np

from envs.compiled import inlined, part
from envs.grid import ENCODING, OPAQUE, at
from envs.words import load64, store16, store32, swap64

VIEW_SIZES = (3, 5, 7, 9, 11)

_u = np.uint64
_0, _1, _7, _8, _14, _28, _56, _64 = (_u(n) for n in (0, 1, 7, 8, 14, 28, 56, 64))
_LOW_BITS = _u(0x0101010101010101)
_HIGH_BITS = _u(0x8080808080808080)
_LOW_SEVEN = _u(0x7F7F7F7F7F7F7F7F)
_DIAGONAL = _u(0x8040201008040201)
_GATHER = _u(0x0102040810204080)
_BYTE = _u(255)
_SWAP_1, _SWAP_2, _SWAP_4 = _u(0x00AA00AA00AA00AA), _u(0x0000CCCC0000CCCC), _u(0x00000000F0F0F0F0)


@inlined
def spread(lit, clear, size):
    """Let light spread along a row of the view, and on to the next row.

    MiniGrid goes through a row twice, first to the right and then to the left; from a lit cell that one
    can see through, light goes on to the neighbour, and to the two cells beyond them in the next row.
    Here a whole row is a word with a bit for each cell, and light runs along it as a carry does in a sum.

    Args:
        lit: uint64, the cells lit from the row before.
        clear: uint64, the cells that one can see through.
        size: cells in a row.

    Returns:
        The cells lit in the end, and those of the next row that are lit from here.
    """
    every = (_1 << _u(size)) - _1
    source = lit & clear
    to_right = ((clear + source) ^ clear ^ source) & clear
    to_left, way = source, clear
    for shift in (1, 2, 4, 8):
        if shift < size:
            to_left |= way & (to_left >> _u(shift))
            way &= way >> _u(shift)
    sources = source | to_right | to_left
    # MiniGrid's first loop passes light on to the right and its second to the left. Each cell that only the
    # second one reaches was lit by its right neighbour, which has lit what lies beyond them both.
    beyond = (sources | (sources << _1) | (sources >> _1)) & every
    return lit | beyond, beyond


@part
def store24(row, place, code):
    """Write a cell's three bytes."""
    store16(row, place, np.uint16(code & np.uint32(0xFFFF)))
    row[place + 2] = code >> 16


@part
def observe_cells(s, rules, row):
    """Write the view [size, size, 3] of (object, colour, state) into ``row``, cell by cell.

    Cell (i, j) of the view lies i - size // 2 to the agent's right and size - 1 - j ahead of it. The
    agent's own cell shows what it carries.
    """
    size = rules.view_size
    half = size // 2
    d = s.direction
    forward = (1 - (d & 2)) * (rules.stride if d & 1 else 1)
    right = (1 - ((d + 1) & 2)) * (1 if d & 1 else rules.stride)
    every = (_1 << _u(size)) - _1
    lit = _1 << _u(half)
    start = at(rules, s.x, s.y) - right * half
    for j in range(size - 1, -1, -1):
        shown, beyond = every, every
        if not rules.see_through:
            clear = _0
            for i in range(size):
                if s.grid[start + right * i] < OPAQUE:
                    clear |= _1 << _u(i)
            shown, beyond = spread(lit, clear, size)
        for i in range(size):
            cell = s.grid[start + right * i] if (shown >> _u(i)) & _1 else np.uint8(0)
            if j == size - 1 and i == half:
                cell = s.carrying
            store24(row, (i * size + j) * 3, ENCODING[cell])
        lit = beyond
        start += forward


@inlined
def _transposed(bits):
    """Transpose a word as a matrix of 8 × 8 bits (Warren, "Hacker's Delight", section 7-3)."""
    swap = (bits ^ (bits >> _7)) & _SWAP_1
    bits = bits ^ swap ^ (swap << _7)
    swap = (bits ^ (bits >> _14)) & _SWAP_2
    bits = bits ^ swap ^ (swap << _14)
    swap = (bits ^ (bits >> _28)) & _SWAP_4
    return bits ^ swap ^ (swap << _28)


@inlined
def _line(grid, start, size, backwards):
    """Return ``size`` cells from a place on as a word's lowest bytes, the last one first if backwards."""
    word = load64(grid, start)
    return swap64(word) >> (_64 - _8 * _u(size)) if backwards else word


@inlined
def _lit_cells(grid, start, step, size, backwards, ahead):
    """Return which cells of the view are lit, a byte for each line of the grid and a bit for each cell."""
    clear = _0
    for n in range(size):
        seen_through = (~_line(grid, start + n * step, size, backwards) >> _7) & _LOW_BITS
        clear |= ((seen_through * _GATHER) >> _56) << _u(8 * n)
    if ahead:
        clear = _transposed(clear)
    every = (_1 << _u(size)) - _1
    lit, beyond = _0, _1 << _u(size // 2)
    for j in range(size - 1, -1, -1):
        shown, beyond = spread(beyond, (clear >> _u(8 * j)) & every, size)
        lit |= shown << _u(8 * j)
    return _transposed(lit) if ahead else lit


@inlined
def _lit_line(grid, start, size, backwards, lit):
    """Return the cells of a line as a word's lowest bytes, with nothing (UNSEEN) where no light falls."""
    chosen = ((lit & _BYTE) * _LOW_BITS) & _DIAGONAL
    whole = ((((chosen + _LOW_SEVEN) | chosen) & _HIGH_BITS) >> _7) * _BYTE  # a byte for each bit
    return _line(grid, start, size, backwards) & whole


@inlined
def _write_lines(grid, start, step, size, backwards, lit, row, to_line, to_cell):
    """Write the lit cells of all lines; a line is ``to_line`` bytes after the last, a cell ``to_cell``."""
    for n in range(size - 1):
        cells = _lit_line(grid, start + n * step, size, backwards, lit >> _u(8 * n))
        for k in range(size):
            # The fourth byte is the next cell's, which is written later.
            store32(row, n * to_line + k * to_cell, ENCODING[(cells >> _u(8 * k)) & _BYTE])
    n = size - 1
    cells = _lit_line(grid, start + n * step, size, backwards, lit >> _u(8 * n))
    for k in range(size):
        store24(row, n * to_line + k * to_cell, ENCODING[(cells >> _u(8 * k)) & _BYTE])


@inlined
def _observe_words(s, rules, row, size):
    """Write what ``observe_cells`` writes, for ``size`` up to 7, a line of the grid at a time."""
    d = s.direction
    ahead = (d & 1) == 0  # lines of the grid run along the agent's gaze, not across it
    backwards = d < 2
    forward = (1 - (d & 2)) * (rules.stride if d & 1 else 1)
    right = (1 - ((d + 1) & 2)) * (1 if d & 1 else rules.stride)
    corner = at(rules, s.x, s.y) + (size - 1) * forward - (size // 2) * right
    start = corner - (size - 1) if backwards else corner
    step = rules.stride if d == 0 or d == 3 else -rules.stride
    lit = ~_0
    if not rules.see_through:
        lit = _lit_cells(s.grid, start, step, size, backwards, ahead)
    to_line, to_cell = (3 * size, 3) if ahead else (3, 3 * size)
    _write_lines(s.grid, start, step, size, backwards, lit, row, to_line, to_cell)
    store24(row, ((size // 2) * size + size - 1) * 3, ENCODING[s.carrying])


@part
def observe(s, rules, row):
    """Write the view, see ``observe_cells``, unless ``row`` holds it already: no part of the grid changed."""
    if not s.changed:
        return
    s.changed = 0
    # Three copies, each for a size that is known while compiling: their loops unroll.
    if rules.view_size == 7:
        _observe_words(s, rules, row, 7)
    elif rules.view_size == 5:
        _observe_words(s, rules, row, 5)
    elif rules.view_size == 3:
        _observe_words(s, rules, row, 3)
    else:
        observe_cells(s, rules, row)


@part
def observe_with_mission(s, rules, row):
    """Write the view, and after it the mission's codes."""
    observe(s, rules, row)
    start = 3 * rules.view_size * rules.view_size
    for k in range(len(s.mission)):
        row[start + k] = s.mission[k]
