/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What a connection carries, by its first bytes, which may come one by one, or behind a handshake with a SOCKS proxy.
 */
#ifndef AGSIGHT_SOCKET_CONTENT_H
#define AGSIGHT_SOCKET_CONTENT_H

#include "maps.h"

/* A handshake with a SOCKS proxy takes a client three pieces, more where they are split. */
#define UNDECIDED_PIECES 8

/*
 * The first bytes of a piece of a connection, the first one lowest. A mask says which of them there are: lengths would be
 * compared, and the kernel verifies each outcome of a comparison for itself.
 */
struct beginning {
	__u64 bytes; /* 0 where there are none */
	__u64 mask;
};

/* Enough to tell TLS and SOCKS. */
#define IS_TELLING(beginning) ((beginning).mask & 0xff0000)

/* Whether it is a TLS record, or can become one. */
static __always_inline int may_be_tls(struct beginning beginning)
{
	__u8 first = beginning.bytes, third = beginning.bytes >> 16;

	return first >= 0x14 && first <= 0x18 && !((beginning.bytes ^ 0x0300) & beginning.mask & 0xff00) && third <= 4;
}

/*
 * Whether a client sends it to a SOCKS proxy, or it can become that: a greeting or a request of version 5, a request of
 * version 4, or, later, the user's name and password.
 */
static __always_inline int may_be_socks(struct beginning beginning, __u32 is_later)
{
	__u8 second = beginning.bytes >> 8;

	switch ((__u8)beginning.bytes) {
	case 1:
		return is_later;
	case 4:
		return !(beginning.mask & 0xff00) || second == 1 || second == 2;
	case 5:
		return !(beginning.mask & 0xff00) || second;
	}
	return 0;
}

#define EACH(byte) (0x0101010101010101ull * (byte))

/* The highest bit of each byte that is ASCII and not below `least`. */
static __always_inline __u64 at_least(__u64 bytes, __u8 least)
{
	return ((bytes | EACH(0x80)) - EACH(least)) & ~bytes & EACH(0x80);
}

/* The highest bit of each byte from `least` to `most`. */
static __always_inline __u64 between(__u64 bytes, __u8 least, __u8 most)
{
	return at_least(bytes, least) & ~at_least(bytes, most + 1);
}

/* Whether it is a method and a space, or can become that: any method, of which WebDAV alone has dozens. */
static __always_inline int may_be_request(struct beginning beginning)
{
	__u64 bytes = beginning.bytes;
	__u64 method = between(bytes, 'A', 'Z') | (between(bytes, '-', '-') & ~0x80ull);
	__u64 rest = ~method & EACH(0x80) & beginning.mask;
	__u64 end = rest & -rest;

	return !rest || end & between(bytes, ' ', ' ') & ~0x80ull;
}

#undef EACH
#define WORD(a, b, c, d) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)

/* Of what is received, where any word may begin a piece of a response, only the usual methods make a request. */
static __always_inline int is_usual_request(struct beginning beginning)
{
	switch ((__u32)beginning.bytes) {
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
		return 1;
	}
	return 0;
}

/* What the connection carries; SOCKET_CONTENT_UNKNOWN when more has to come to tell. */
static __always_inline __u32 content_of(struct beginning beginning, __u32 receive, const struct socket_state *state)
{
	__u32 response = WORD('H', 'T', 'T', 'P');
	/* The client speaks, and has not told yet. */
	__u32 is_opening = state->seen_from_start & (receive ^ state->is_server ^ 1);

	if (may_be_tls(beginning)) {
		if (IS_TELLING(beginning))
			return SOCKET_CONTENT_TLS;
		if (is_opening)
			return SOCKET_CONTENT_UNKNOWN;
	}
	if (state->is_server)
		return SOCKET_CONTENT_SERVED;
	if (receive) {
		if (!((beginning.bytes ^ response) & beginning.mask & 0xffffffff))
			return SOCKET_CONTENT_HTTP;
		if (is_usual_request(beginning))
			return SOCKET_CONTENT_SERVED;
	} else {
		if ((__u32)beginning.bytes == response)
			return SOCKET_CONTENT_SERVED;
		if (is_opening && may_be_socks(beginning, state->undecided))
			return SOCKET_CONTENT_UNKNOWN;
		if (is_opening && may_be_request(beginning))
			return SOCKET_CONTENT_HTTP;
	}
	/* In the middle of a connection, HTTP cannot be told by its beginning. */
	return state->seen_from_start ? SOCKET_CONTENT_OTHER : SOCKET_CONTENT_HTTP;
}

#undef WORD

/* A piece of a connection has been moved. It tells what the connection carries, or leaves that undecided for the next one. */
__noinline int tell_content(struct socket_state *state, __u64 address, __u64 length, __u32 receive)
{
	struct beginning beginning = {};

	if (!state || !length)
		return 0;
	CLAMP(length, sizeof(beginning.bytes));
	/* What cannot be read may be HTTP: it will be counted, as it cannot be copied either. */
	if (!bpf_probe_read_user(&beginning.bytes, length, (void *)address))
		beginning.mask = ~0ull >> (64 - 8 * length);
	if (state->content != SOCKET_CONTENT_UNKNOWN) {
		/* A proxy was asked for a tunnel, and TLS begins in it. */
		if (state->content == SOCKET_CONTENT_HTTP && !receive && (beginning.bytes & 0xff000000ffff) == 0x010000000316)
			state->content = SOCKET_CONTENT_TLS;
		return 0;
	}
	if (state->undecided) {
		/* The answers of a proxy. */
		if (receive ^ state->is_server)
			return 0;

		__u32 shift = 8 * (state->beginning_length & 3);

		beginning.bytes = beginning.bytes << shift | state->beginning;
		beginning.mask = beginning.mask << shift | ((1ull << shift) - 1);
	}

	__u32 content = content_of(beginning, receive, state);

	state->beginning = 0;
	state->beginning_length = 0;
	if (content == SOCKET_CONTENT_UNKNOWN) {
		if (++state->undecided > UNDECIDED_PIECES)
			content = SOCKET_CONTENT_OTHER;
		if (!IS_TELLING(beginning)) {
			state->beginning = beginning.bytes;
			state->beginning_length = beginning.mask & 0xff00 ? 2 : 1;
		}
	}
	state->content = content;
	return 0;
}

#endif
