/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The maps, which hold all state of the program, and what every program does: count, fill a header, submit.
 */
#ifndef AGSIGHT_MAPS_H
#define AGSIGHT_MAPS_H

#include "kernel-types.h"
#include "record.h"

#define SIGNAL_GROUP_EXIT 0x4
#define CALL_CHUNKS (CALL_LIMIT_BYTES / CHUNK_BYTES + 1)
#define MAX_VARIABLES 1024
/* At each multiple of this part of the ring whoever drains it is woken, by the records of so many bytes: each is smaller. */
#define WAKE_BYTES 0x10000

struct process {
	__u32 root_pid;
	__u32 flags; /* PROCESS_… */
};

struct loss_key {
	__u32 pid;
	__u32 counter;
};

/*
 * A TLS call in progress, and after its return the copying of what it moved. Lives in a map from beginning to
 * end: on the stack, the verifier would follow the position through every turn of the copying loop.
 */
struct call {
	__u64 ssl;
	__u64 buffer;
	__u64 count_address;
	__u64 start_time;
	/* 0 outside of calls. */
	__u64 cookie;
	__u64 length;
	__u64 position;
	__u64 end_time;
	__u64 connection;
	__u64 offset;
	__u64 additional;
	__u32 additional_length;
	__u32 root_pid;
};

/* The memory area of a new program that is being copied. In a map for the same reason. */
struct walk {
	__u64 start;
	__u64 end;
	__u64 offset;
	__u64 exec_time;
	__u32 root_pid;
	__u32 inside_variable;
};

struct connection_key {
	__u64 ssl;
	__u32 pid;
	__u32 zero;
};

struct connection {
	__u64 id;
	/* The id of the socket that it receives over, where known. */
	__u64 socket;
	__u64 offset[2]; /* by direction: sent, received */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 20);
} ring SEC(".maps");

struct watched_name {
	__u32 is_used;
	__u32 flags; /* of the processes that it stands for */
	/* The 16 bytes of a name that begins so, and which of their bits count. */
	__u64 head[2];
	__u64 mask[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_NAMES);
	__type(key, __u32);
	__type(value, struct watched_name);
} names SEC(".maps");

/* What must be acted on at once, before records that wait to be drained together. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, NOTICES_BYTES);
} notices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct process);
} processes SEC(".maps");

/* By thread, or by goroutine. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct call);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct walk);
} walks SEC(".maps");

/* A TCP socket, by the address of the kernel's own object. */
struct socket_state {
	__u64 id;
	__u64 offset[2]; /* by direction: sent, received */
	__u64 carries;
	__u32 pid;
	__u32 root_pid;
	__u32 content; /* SOCKET_CONTENT_… */
	__u8 seen_from_start;
	__u8 is_server;
	/* How many pieces did not tell what it carries; and how long the beginning is of one that was too short for it. */
	__u8 undecided;
	__u8 beginning_length;
	/* Who was first to end it, with what errno; and whether the other side has said that it sends nothing more. */
	__u64 end_time;
	/* When bytes were last handed to it before that. */
	__u64 send_time;
	__u32 ended_by;
	__u32 error;
	__u32 has_fin;
	/* The kernel forgets it before the end. */
	__u16 local_port;
	/* The bytes of the beginning. */
	__u16 beginning;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct socket_state);
} sockets SEC(".maps");

/* The socket that each thread last received TLS from. */
struct socket_place {
	__u64 socket;
	__u64 id;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct socket_place);
} last_sockets SEC(".maps");

/* The least recently used connection makes room: nobody tells the program that one was closed. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct connection_key);
	__type(value, struct connection);
} connections SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTER_MAX);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* What was lost of whom. When it is full the totals in `counters` still hold. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct loss_key);
	__type(value, __u64);
} losses SEC(".maps");

static __always_inline void add_one(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);
	if (value)
		__sync_fetch_and_add(value, 1);
}

/* Counts a loss of the current process. A function of its own: it is rare and called from many places. */
__noinline int count(__u32 counter)
{
	struct loss_key key = { .pid = bpf_get_current_pid_tgid() >> 32, .counter = counter };
	__u64 *value = bpf_map_lookup_elem(&losses, &key);

	add_one(counter);
	if (!value) {
		__u64 none = 0;

		bpf_map_update_elem(&losses, &key, &none, BPF_NOEXIST);
		value = bpf_map_lookup_elem(&losses, &key);
	}
	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}

/* Keeps `value` within `limit` where the verifier sees it and the compiler cannot reason it away. */
#define CLAMP(value, limit)                                              \
	asm volatile("if %[v] <= %[l] goto +1; %[v] = %[l]"              \
		     : [v] "+r"(value)                                   \
		     : [l] "i"(limit))

/*
 * The ring hands out constant sizes only, and one size for all would waste it: the callers pick the smallest
 * of a few that holds `length`. Sets `record`, and whether its data are `unreadable`; everything else is the same for all
 * sizes and stands once, as the kernel examines each instruction.
 */
#define RESERVE_AND_READ(record, size, address, unreadable)                                  \
	do {                                                                                 \
		__u64 bounded = length;                                                      \
		CLAMP(bounded, size);                                                        \
		record = bpf_ringbuf_reserve(&ring, sizeof(*record) + (size), 0);            \
		if (record)                                                                  \
			unreadable = bpf_probe_read_user(record->data, bounded, (void *)(address)); \
	} while (0)

static __always_inline void fill_header(struct record_header *header, __u16 type, __u64 time, __u32 root_pid)
{
	__u64 id = bpf_get_current_pid_tgid();

	header->type = type;
	header->flags = 0;
	header->data_length = 0;
	header->time = time;
	header->pid = id >> 32;
	header->tid = (__u32)id;
	header->root_pid = root_pid;
	header->reserved = 0;
	bpf_get_current_comm(header->comm, sizeof(header->comm));
}

/* Tells that the current process may need probes. */
static __always_inline void announce(__u16 type, __u32 root_pid)
{
	struct record_header *notice = bpf_ringbuf_reserve(&notices, sizeof(*notice), 0);

	if (!notice) {
		count(COUNTER_NOTICES_FULL);
		return;
	}
	fill_header(notice, type, bpf_ktime_get_ns(), root_pid);
	bpf_ringbuf_submit(notice, BPF_RB_FORCE_WAKEUP);
}

/*
 * How a record is submitted: whoever drains is woken by the first record after that, which is the ring's own rule, and when
 * there is much to drain. Counts the record when it `is_certain` to be submitted: here, as each lookup in a map makes a
 * program longer.
 */
__noinline __u64 wakeup(__u32 is_certain)
{
	__u64 much = bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE) / MUCH_OF_RING;
	__u64 waiting = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);

	if (is_certain)
		add_one(COUNTER_RECORDS);
	return waiting >= much && (waiting & (much - 1)) < WAKE_BYTES ? BPF_RB_FORCE_WAKEUP : 0;
}

static __always_inline void submit(void *record)
{
	bpf_ringbuf_submit(record, wakeup(1));
}

#endif
