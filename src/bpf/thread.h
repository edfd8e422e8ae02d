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

struct thread {
	__u64 start_time;
	__u64 arguments[8];
	/* Of the call in progress; 0 outside of calls. */
	__u32 operation;
	__u32 number;
	__u32 root_pid;
	/* Bit 1: the call reads from the first run's file; bit 2: it writes to the second's. */
	__u32 moves;
	__u64 owner;
	/* Of the file that is read, then written: where the call begins. */
	__u64 offsets[2];
	struct file *files[2];
	struct run runs[2];
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
static __noinline int report_run(struct thread *thread, __u32 direction, __u32 error)
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
static __always_inline void end_runs(struct thread *thread)
{
	report_run(thread, 0, 0);
	report_run(thread, 1, 0);
	thread->runs[0].open = 0;
	thread->runs[1].open = 0;
}

SEC("raw_tp/sched_process_exit")
int on_thread_exit(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct thread *thread = bpf_map_lookup_elem(&threads, &id);

	if (!thread)
		return 0;
	end_runs(thread);
	bpf_map_delete_elem(&threads, &id);
	return 0;
}

#endif
