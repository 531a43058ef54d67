"""Columns of the arrays that the kernels share."""

# Columns of an element
E_PARENT, E_HASH, E_TAG, E_CUES, E_INHERITED, E_FLAGS, E_BOX, E_ROW, E_CELL, E_COUNT, E_LISTS = range(11)
E_DEPTH, E_SIGNATURE, E_BYTES, E_LINKED, E_BLOCKS, E_PROSE, E_HEADING = range(11, 18)
ELEMENT_COLUMNS = 18
# Columns of a block: offsets in the text, the element of its first byte, its box (innermost block-level element)
B_START, B_END, B_ELEMENT, B_BOX, B_LINKED, B_LINKS, B_EMPHASIS, B_ITEM, B_NUMBER, B_BREAKS, B_ROW = range(11)
B_CELL, B_CELLS, B_HEADING, B_PRE = range(11, 15)
BLOCK_COLUMNS = 15
# State of a scan
S_CURRENT, S_OUT, S_SPACE, S_BLOCKS, S_ELEMENTS, S_OPEN, S_ITEM, S_HIDDEN, S_LINK, S_NUMBER = range(10)
S_FORMULA = 10
STATES = 11
