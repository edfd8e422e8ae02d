/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What the program remembers of a thread that makes system calls: the call that it is in, and what it has read and
 * written lately. Reads and writes are summed up here, one run for each direction, as one record each would be too many.
 */
#ifndef AGSIGHT_THREAD_H
#define AGSIGHT_THREAD_H

#include "maps.h"

/* DeepFlow's idle gap: a longer pause between two calls ends a run. */
#define RUN_GAP_NS 100000000ull
/* A run without a pause is reported at least this often. */
#define RUN_AGE_NS 1000000000ull

struct run {
	__u64 start_time;
	__u64 end_time;
	__u64 duration;
	__u64 bytes;
	__u64 count;
	__u64 offset;
	__u64 inode;
	__u32 device;
	/* 0: no file; otherwise the file has been announced. */
	__u16 open;
	__u16 is_rollout;
};

/* The bytes of a write that are being copied, from one buffer or from those of a vector. */
struct content {
	__u64 buffer;
	/* Bytes in the buffer, and vectors behind it. */
	__u64 length;
	__u64 vector;
	__u64 vectors;
	/* Bytes that the call wrote and that are not copied yet, and where the next one stands in the file. */
	__u64 left;
	__u64 offset;
	__u64 time;
};

struct thread {
	__u64 start_time;
	__u64 arguments[8];
	/* Of the call in progress; 0 outside of calls. */
	__u32 operation;
	__u32 socket_call; /* SOCKET_CALL_…, as `operation` */
	__u32 number;
	__u32 root_pid;
	/* Whether the call writes to the end of the file, wherever that is. */
	__u32 appends;
	/* Bit 1: the call reads from the first run's file; bit 2: it writes to the second's. */
	__u32 moves;
	__u64 owner;
	/* Of the file that is read, then written: where the call begins. */
	__u64 offsets[2];
	struct file *files[2];
	struct run runs[2];
	struct content content;
	/* Of the thread when it began its runs. */
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct thread);
} threads SEC(".maps");

/* New threads start from this: on the stack it would fill half of it. */
static const struct thread new_thread;

static __always_inline struct thread *find_thread(__u64 id, __u32 root_pid)
{
	struct thread *thread = bpf_map_lookup_elem(&threads, &id);

	if (!thread) {
		bpf_map_update_elem(&threads, &id, &new_thread, BPF_NOEXIST);
		thread = bpf_map_lookup_elem(&threads, &id);
		if (!thread) {
			count(COUNTER_THREADS_FULL);
			return 0;
		}
	}
	thread->root_pid = root_pid;
	return thread;
}

/* Reports what the run has moved since it was reported last; `error` is that of a call which moved nothing. */
__noinline int report_run(struct thread *thread, __u64 id, __u32 direction, __u32 error)
{
	if (!thread)
		return 0;

	struct run *run = &thread->runs[direction & 1];

	if (run->count == 0)
		return 0;

	struct transfer_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNTER_OPERATION_RING_FULL);
	} else {
		fill_header(&record->header, RECORD_TRANSFER, run->end_time, thread->root_pid);
		record->header.pid = id >> 32;
		record->header.tid = (__u32)id;
		__builtin_memcpy(record->header.comm, thread->comm, sizeof(thread->comm));
		record->start_time = run->start_time;
		record->duration = run->duration;
		record->bytes = run->bytes;
		record->count = run->count;
		record->offset = run->offset;
		record->error = error;
		record->operation = direction & 1 ? OPERATION_WRITE : OPERATION_READ;
		submit(record);
	}
	run->count = 0;
	run->bytes = 0;
	run->duration = 0;
	run->offset = 0;
	return 0;
}

/* The files may get other names, or their inodes other files, with what the thread does next. */
static __always_inline void end_runs(struct thread *thread, __u64 id)
{
	report_run(thread, id, 0, 0);
	report_run(thread, id, 1, 0);
	thread->runs[0].open = 0;
	thread->runs[1].open = 0;
}

SEC("raw_tp/sched_process_exit")
int on_thread_exit(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct thread *thread = bpf_map_lookup_elem(&threads, &id);

	bpf_map_delete_elem(&last_sockets, &id);
	if (!thread)
		return 0;
	end_runs(thread, id);
	bpf_map_delete_elem(&threads, &id);
	return 0;
}

static long report_thread(void *map, __u64 *id, struct thread *thread, void *context)
{
	end_runs(thread, *id);
	return 0;
}

/* Run when the other programs are off: what the threads have read and written since they were reported last. */
SEC("syscall")
int report_threads(void *context)
{
	bpf_for_each_map_elem(&threads, report_thread, 0, 0);
	return 0;
}

#endif
