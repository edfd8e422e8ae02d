/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What a connection carries, by its first bytes.
 */
#ifndef AGSIGHT_SOCKET_CONTENT_H
#define AGSIGHT_SOCKET_CONTENT_H

#include "maps.h"

/* What the first bytes say. `receive` tells which side sent them. */
static __always_inline __u32 content_of(const __u8 *first, __u32 receive, struct socket_state *state)
{
	__u32 word = *(const __u32 *)first;

	if (first[0] >= 0x14 && first[0] <= 0x18 && first[1] == 3 && first[2] <= 4)
		return SOCKET_CONTENT_TLS;
	if (state->is_server)
		return SOCKET_CONTENT_SERVED;

#define WORD(a, b, c, d) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)
	switch (word) {
	case WORD('G', 'E', 'T', ' '):
	case WORD('P', 'O', 'S', 'T'):
	case WORD('P', 'U', 'T', ' '):
	case WORD('H', 'E', 'A', 'D'):
	case WORD('D', 'E', 'L', 'E'):
	case WORD('O', 'P', 'T', 'I'):
	case WORD('P', 'A', 'T', 'C'):
	case WORD('C', 'O', 'N', 'N'):
	case WORD('T', 'R', 'A', 'C'):
	case WORD('P', 'R', 'I', ' '):
		return receive ? SOCKET_CONTENT_SERVED : SOCKET_CONTENT_HTTP;
	case WORD('H', 'T', 'T', 'P'):
		return receive ? SOCKET_CONTENT_HTTP : SOCKET_CONTENT_SERVED;
	}
#undef WORD
	/* In the middle of a connection, HTTP cannot be told by its beginning. */
	return state->seen_from_start ? SOCKET_CONTENT_OTHER : SOCKET_CONTENT_HTTP;
}

#endif
