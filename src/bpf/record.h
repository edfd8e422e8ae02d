/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The records that the kernel program writes into the ring, the cookie that tells it what a probe is on,
 * and the counters. src/bpf/record.ts reads this layout; test/bpf/record.test.ts compares the two.
 *
 * All integers are little-endian, all records 8-byte aligned, all times CLOCK_MONOTONIC nanoseconds.
 */
#ifndef AGSIGHT_RECORD_H
#define AGSIGHT_RECORD_H

#include <linux/types.h>

/* Holds the largest TLS record, with its content type and padding, in one piece (RFC 8446, 5.2). */
#define CHUNK_BYTES (16384 + 256)
/* A call that moves more is recorded up to here and its rest reported as missing. */
#define CALL_LIMIT_BYTES (16u << 20)
#define ARGV_LIMIT_BYTES (2u << 20)
/* A TLS 1.3 record header has 5 bytes, TLS 1.2's additional data 13. */
#define ADDITIONAL_BYTES 16
#define PATH_BYTES 256
#define VARIABLE_BYTES 256

enum record_type {
	RECORD_TLS = 1,
	RECORD_FORK = 2,
	RECORD_EXEC = 3,
	RECORD_EXIT = 4,
	/* Parts of an exec; they precede its RECORD_EXEC and carry the same exec_time. */
	RECORD_ARGV = 5,
	RECORD_VARIABLE = 6,
};

struct record_header {
	__u16 type;
	__u16 flags;
	/* Bytes of `data` that are used; the record in the ring may be longer. */
	__u32 data_length;
	__u64 time;
	__u32 pid;
	__u32 tid;
	__u32 root_pid;
	__u32 reserved;
	char comm[16];
};

/* Flags of RECORD_TLS. */
#define TLS_RECEIVE 0x1
#define TLS_OVER_LIMIT 0x2
#define TLS_UNREADABLE 0x4

struct tls_record {
	struct record_header header;
	__u64 start_time;
	/* Unique per connection while the program is loaded. */
	__u64 connection;
	/* Position of the first byte in this direction of the connection. */
	__u64 offset;
	/* Bytes from `offset` on that are not in `data`; then data_length is 0. */
	__u64 missing;
	__u32 library;
	/* Bytes in use of `additional`: the data that the AEAD authenticates beside the plaintext. */
	__u32 additional_length;
	__u8 additional[ADDITIONAL_BYTES];
	__u8 data[];
};

struct fork_record {
	struct record_header header; /* of the child */
	__u32 parent_pid;
	__u32 uid;
	__u32 gid;
	__u32 reserved;
};

struct exec_record {
	struct record_header header;
	__u64 exec_time;
	__u64 argv_length;
	__u32 parent_pid;
	__u32 uid;
	__u32 gid;
	__u32 reserved;
	char path[PATH_BYTES];
};

/* RECORD_ARGV: a piece of the argument area. RECORD_VARIABLE: one NAME=VALUE; offset is 0. */
struct exec_part_record {
	struct record_header header;
	__u64 exec_time;
	__u64 offset;
	__u8 data[];
};

struct exit_record {
	struct record_header header;
	__u32 parent_pid;
	__u32 uid;
	__u32 gid;
	/* As wait(2) gives it: low 7 bits the signal, bits 8 to 15 the exit code. */
	__u32 status;
};

/* The cookie of a probe. */
#define COOKIE_RECEIVE 0x1
/* The call returns success and stores the byte count through its fourth argument. */
#define COOKIE_EX 0x2
#define COOKIE_HANDSHAKE 0x4
/* EVP_AEAD_CTX_seal, or with COOKIE_RECEIVE EVP_AEAD_CTX_open. */
#define COOKIE_AEAD 0x8
#define COOKIE_LIBRARY_SHIFT 8

/* What a followed process is asked for: its children are not followed. */
#define PROCESS_ALONE 0x1

/*
 * Counters. Each but RECORDS says how often something was not recorded, and why. src/bpf/record.ts names
 * them in this order.
 */
enum counter {
	/* Records that reached the ring. */
	COUNTER_RECORDS,
	/* Pieces of TLS plaintext that found the ring full. */
	COUNTER_TLS_RING_FULL,
	/* Process events, or parts of them, that found the ring full. */
	COUNTER_PROCESS_RING_FULL,
	/* Calls that could not be followed because too many were in progress. */
	COUNTER_CALLS_FULL,
	/* Connections that could not be followed because there were too many. */
	COUNTER_CONNECTIONS_FULL,
	/* Children that could not be followed because there were too many processes. */
	COUNTER_PROCESSES_FULL,
	/* Execs whose arguments and environment could not be copied because too many were in progress. */
	COUNTER_EXECS_FULL,
	/* Pieces of memory that could not be read. */
	COUNTER_UNREADABLE,
	/* Calls that moved more than CALL_LIMIT_BYTES. */
	COUNTER_OVER_LIMIT,
	/* Argument vectors longer than ARGV_LIMIT_BYTES. */
	COUNTER_ARGV_OVER_LIMIT,
	/* Environments with more variables than the program looks at. */
	COUNTER_ENVIRONMENT_OVER_LIMIT,
	/* CODEX_ variables longer than VARIABLE_BYTES. */
	COUNTER_VARIABLE_CUT,
	COUNTER_MAX,
};

#endif
