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
/* Of the ring that announces programs and libraries. */
#define NOTICES_BYTES (256u << 10)
/* One part of the ring of records in so many is much: worth draining at once. */
#define MUCH_OF_RING 16
/* Names of programs that are followed when they begin. */
#define MAX_NAMES 8
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
	/* The working directory of a fork, exec or exit; an operation_record that precedes it with the same time. */
	RECORD_DIRECTORY = 7,
	/* A system call that changed something, or tried to. */
	RECORD_OPERATION = 8,
	/* The file that a thread begins to read or to write; an operation_record without a result. */
	RECORD_FILE = 9,
	/* What a thread has read from or written to that file since. */
	RECORD_TRANSFER = 10,
	/* Bytes written to a rollout file. */
	RECORD_CONTENT = 11,
	/* A TCP connection begins or ends, or a process listens. */
	RECORD_SOCKET = 12,
	/*
	 * A process runs another program, or has mapped the code of a TLS library, or one that is its own root has ended:
	 * headers only, in a ring of their own.
	 */
	RECORD_PROGRAM = 13,
	RECORD_LIBRARY = 14,
	RECORD_END = 15,
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

/* Flags of RECORD_DIRECTORY, RECORD_OPERATION and RECORD_FILE. */
/* Deeper or longer than the program follows. */
#define OPERATION_PATH_CUT 0x1
/* The caller's string could not be read. */
#define OPERATION_NAME_UNREADABLE 0x2
/* open: the file did not exist before. */
#define OPERATION_CREATED 0x4

enum operation {
	OPERATION_READ = 1,
	OPERATION_WRITE = 2,
	OPERATION_OPEN = 3,
	OPERATION_CREATE = 4,
	OPERATION_DELETE = 5,
	OPERATION_RENAME = 6,
	OPERATION_MKDIR = 7,
	OPERATION_RMDIR = 8,
	OPERATION_LINK = 9,
	OPERATION_SYMLINK = 10,
	OPERATION_TRUNCATE = 11,
	OPERATION_ALLOCATE = 12,
	OPERATION_CHMOD = 13,
	OPERATION_CHOWN = 14,
	OPERATION_MAP = 15,
	OPERATION_SETUID = 16,
	OPERATION_SETGID = 17,
	OPERATION_SETREUID = 18,
	OPERATION_SETREGID = 19,
	OPERATION_SETRESUID = 20,
	OPERATION_SETRESGID = 21,
	OPERATION_CAPSET = 22,
	OPERATION_CONNECT = 23,
	/* An exec that failed; one that succeeds is a RECORD_EXEC. */
	OPERATION_EXEC = 24,
};

/*
 * A path is a directory, as its components from the last to the first, each with a NUL, and a name relative to it as
 * the caller gave it, which may be empty. Behind the record stand both, then the same for the target of a rename or link;
 * an exec that failed has the working directory there; for connect, the name is the address; for symlink, the name is that of the link and the target name what it says.
 */
struct operation_record {
	struct record_header header; /* the time is that of the return */
	__u64 start_time;
	/* As the system call returned it: a negative errno, or what it returns on success. */
	__s64 result;
	/* By operation: open flags and mode; the other flags; a length; owners; ids; capabilities. */
	__u64 values[4];
	__u64 inode;
	__u32 device;
	/* Of the file system, as statfs(2) tells it. */
	__u32 magic;
	__u32 operation;
	/* st_mode of the file, where it is known. */
	__u32 mode;
	__u32 uid;
	__u32 gid;
	/* directory, name, directory of the target, name of the target */
	__u16 lengths[4];
};

struct transfer_record {
	struct record_header header; /* the time is that of the last return */
	__u64 start_time;
	/* Nanoseconds inside the calls. */
	__u64 duration;
	__u64 bytes;
	__u64 count;
	/* Of the last byte range: the largest offset at which a call began. */
	__u64 offset;
	/* 0, or the errno of the one call. */
	__u32 error;
	__u32 operation;
};

struct content_record {
	struct record_header header;
	/* Position in the file. */
	__u64 offset;
	/* Bytes from there on that are not in `data`; then data_length is 0. */
	__u64 missing;
	__u8 data[];
};

enum socket_operation {
	SOCKET_LISTENS = 1,
	SOCKET_CONNECTED = 2,
	SOCKET_ACCEPTED = 3,
	/* The connection has ended, or an attempt to connect, or a process listens no more. */
	SOCKET_CLOSED = 4,
};

enum socket_content {
	/* No bytes have been seen. */
	SOCKET_CONTENT_UNKNOWN = 0,
	/* Plain HTTP of a client: copied. */
	SOCKET_CONTENT_HTTP = 1,
	SOCKET_CONTENT_TLS = 2,
	/* The process is the server: not copied. */
	SOCKET_CONTENT_SERVED = 3,
	/* Neither HTTP nor TLS: not copied. */
	SOCKET_CONTENT_OTHER = 4,
	/* Connections are accepted here. */
	SOCKET_CONTENT_NONE = 5,
};

/* Who ended the connection. */
#define SOCKET_ENDED_HERE 1
#define SOCKET_ENDED_THERE 2

struct socket_record {
	struct record_header header;
	/* As in tls_record, when the bytes are copied. */
	__u64 connection;
	/* The connection of a TLS library that was last seen to receive over this one; 0 where there is none. */
	__u64 carries;
	/* Bytes that TCP has moved, whether copied or not. */
	__u64 sent;
	__u64 received;
	/* When the side that was first to end it did so; 0 where that is not known. */
	__u64 end_time;
	/* When the process last sent before that; 0 where it did not. */
	__u64 send_time;
	__u32 operation;
	__u32 content;
	__u32 ended_by;
	/* errno of the connection. */
	__u32 error;
	/* AF_INET or AF_INET6. */
	__u16 family;
	__u16 local_port;
	__u16 remote_port;
	__u16 reserved;
	__u8 local[16];
	__u8 remote[16];
};

/* The cookie of a probe. */
#define COOKIE_RECEIVE 0x1
/* The call returns success and stores the byte count through its fourth argument. */
#define COOKIE_EX 0x2
#define COOKIE_HANDSHAKE 0x4
/* EVP_AEAD_CTX_seal, or with COOKIE_RECEIVE EVP_AEAD_CTX_open. */
#define COOKIE_AEAD 0x8
/* With COOKIE_AEAD: one of ring's functions instead, which take and return things as Rust does. */
#define COOKIE_RING 0x10
/* With COOKIE_AEAD: EVP_AEAD_CTX_seal_scatter, which puts the tag elsewhere. It and EVP_AEAD_CTX_seal do not call each other. */
#define COOKIE_SCATTER 0x20
/* Go's crypto/tls: arguments in registers of its own, and calls of goroutines, which go from thread to thread. */
#define COOKIE_GO 0x40
/* With COOKIE_GO: an instruction by which the function returns. */
#define COOKIE_GO_RETURN 0x80
#define COOKIE_LIBRARY_SHIFT 8
/* Not of a probe: bytes that went over a socket as they are. */
#define LIBRARY_SOCKET 255

/* What a followed process is asked for. Its children are not followed. */
#define PROCESS_ALONE 0x1
/* Operations on files and permissions are not recorded. */
#define PROCESS_NO_FILES 0x2
/* What it hands to io_uring is counted request by request. */
#define PROCESS_SEES_RINGS 0x4
/* Set here: goroutines of it may be inside TLS calls. */
#define PROCESS_GO 0x8

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
	/* File, permission and network operations that found the ring full. */
	COUNTER_OPERATION_RING_FULL,
	/* System calls that could not be followed because too many threads make some. */
	COUNTER_THREADS_FULL,
	/* Paths of operations that could not be read whole. */
	COUNTER_PATH_CUT,
	/* System calls of 32-bit programs, which are not interpreted. */
	COUNTER_32_BIT_CALLS,
	/* Requests to io_uring that may be operations, or where these cannot be told apart, calls that submit some. */
	COUNTER_IO_URING,
	/* Programs and libraries that were not announced, and so not probed, because too many were at once. */
	COUNTER_NOTICES_FULL,
	/* Connections whose bytes could not be copied because there were too many. */
	COUNTER_SOCKETS_FULL,
	/* Calls on a copied connection by which bytes went from or to another file, which cannot be read. */
	COUNTER_SOCKET_OPAQUE,
	COUNTER_MAX,
};

#endif
