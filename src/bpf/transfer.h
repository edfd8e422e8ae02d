/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Reading and writing regular files: which file, how much, and the bytes that go into a rollout file.
 */
#ifndef AGSIGHT_TRANSFER_H
#define AGSIGHT_TRANSFER_H

#include "descriptor.h"
#include "path.h"
#include "system-call-table.h"
#include "thread.h"

/* Pieces of one write that are copied: 1024 buffers, or 17 MiB. User space reads the rest from the file. */
#define CONTENT_PIECES 1100
#define O_APPEND 02000

/* rollout-….jsonl, as Codex names the files that it keeps its sessions in. */
static __always_inline int is_rollout(struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	const unsigned char *name = BPF_CORE_READ(dentry, d_name.name);
	__u32 length = BPF_CORE_READ(dentry, d_name.len);
	char start[8], end[6];

	if (length < sizeof(start) + sizeof(end) || bpf_probe_read_kernel(start, sizeof(start), name) ||
	    bpf_probe_read_kernel(end, sizeof(end), name + length - sizeof(end)))
		return 0;
	return start[0] == 'r' && start[1] == 'o' && start[2] == 'l' && start[3] == 'l' && start[4] == 'o' &&
	       start[5] == 'u' && start[6] == 't' && start[7] == '-' && end[0] == '.' && end[1] == 'j' && end[2] == 's' &&
	       end[3] == 'o' && end[4] == 'n' && end[5] == 'l';
}

/* The call in progress reads from (0) or writes to (1) a regular file. */
static __noinline int begin_transfer(struct thread *thread, __u64 id, struct file *file, __u32 direction)
{
	if (!thread)
		return 0;

	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct run *run = &thread->runs[direction & 1];

	__u64 number = BPF_CORE_READ(inode, i_ino);
	__u32 device = BPF_CORE_READ(inode, i_sb, s_dev);

	if (!run->open || run->inode != number || run->device != device) {
		report_run(thread, id, direction, 0);
		run->open = 0;

		struct draft *draft = new_draft(RECORD_FILE, thread->start_time, thread->root_pid,
						direction & 1 ? OPERATION_WRITE : OPERATION_READ);

		if (!draft)
			return 0;
		describe_inode(draft, inode);
		append_path(draft, &file->f_path, 0);
		submit_draft(draft);
		run->open = 1;
		run->inode = number;
		run->device = device;
		run->is_rollout = direction & 1 && is_rollout(file);
		bpf_get_current_comm(thread->comm, sizeof(thread->comm));
	} else if (run->count && (thread->start_time - run->end_time > RUN_GAP_NS ||
				  thread->start_time - run->start_time > RUN_AGE_NS)) {
		report_run(thread, id, direction, 0);
	}
	thread->files[direction & 1] = file;
	/* In append mode neither the file's position nor a given one counts. */
	thread->appends = direction & 1 && BPF_CORE_READ(file, f_flags) & O_APPEND;
	thread->offsets[direction & 1] = thread->appends ? BPF_CORE_READ(inode, i_size) : BPF_CORE_READ(file, f_pos);
	thread->moves |= 1 << (direction & 1);
	return 0;
}

static __always_inline void fill_content(struct content_record *record, struct thread *thread, __u64 missing)
{
	fill_header(&record->header, RECORD_CONTENT, thread->content.time, thread->root_pid);
	record->offset = thread->content.offset;
	record->missing = missing;
}

static __always_inline void report_missing_content(struct thread *thread, __u64 missing)
{
	struct content_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNTER_OPERATION_RING_FULL);
		return;
	}
	fill_content(record, thread, missing);
	submit(record);
}

struct thread_pointer {
	struct thread *thread;
};

/* Copies a piece of the current buffer, or goes on to the next one. */
static long copy_content(__u32 index, struct thread_pointer *pointer)
{
	struct thread *thread = pointer->thread;
	struct content *content = &thread->content;
	__u64 length = content->length < content->left ? content->length : content->left;
	struct content_record *record;
	long unreadable = 0;

	if (length == 0) {
		struct {
			__u64 base, length;
		} next;

		if (content->vectors == 0 || bpf_probe_read_user(&next, sizeof(next), (void *)content->vector))
			return 1;
		content->buffer = next.base;
		content->length = next.length;
		content->vector += sizeof(next);
		content->vectors--;
		return 0;
	}
	CLAMP(length, CHUNK_BYTES);
	if (length <= 1024)
		RESERVE_AND_READ(record, 1024, content->buffer, unreadable);
	else if (length <= 4096)
		RESERVE_AND_READ(record, 4096, content->buffer, unreadable);
	else
		RESERVE_AND_READ(record, CHUNK_BYTES, content->buffer, unreadable);
	if (!record) {
		report_missing_content(thread, length);
	} else if (unreadable) {
		bpf_ringbuf_discard(record, 0);
		report_missing_content(thread, length);
	} else {
		fill_content(record, thread, 0);
		record->header.data_length = length;
		submit(record);
	}
	content->buffer += length;
	content->length -= length;
	content->left -= length;
	content->offset += length;
	return content->left == 0;
}

/* Copies what the call has written to a rollout file; what is beyond the limit, or was copied in the kernel, is told. */
static __always_inline int record_content(struct thread *thread, __u32 number, __s64 written, __u64 time)
{
	if (!thread)
		return 0;

	const struct call_form *form = &call_forms[number & (MAX_CALL - 1)];
	struct content *content = &thread->content;
	struct thread_pointer pointer = { thread };
	struct file *file = thread->files[1];

	__builtin_memset(content, 0, sizeof(*content));
	content->time = time;
	content->left = written;
	content->offset = thread->offsets[1];
	/* In append mode only the end of the call tells where it wrote, as others may write too. */
	if (file == file_of(thread->arguments[(form->descriptor - 1) & 7])) {
		if (!form->offset)
			content->offset = BPF_CORE_READ(file, f_pos) - written;
		else if (thread->appends)
			content->offset = BPF_CORE_READ(file, f_inode, i_size) - written;
	}
	if (form->vector) {
		content->vector = thread->arguments[1];
		content->vectors = thread->arguments[2];
	} else if (form->operation == OPERATION_WRITE) {
		content->buffer = thread->arguments[1];
		content->length = written;
	}
	if (form->operation == OPERATION_WRITE)
		bpf_loop(CONTENT_PIECES, copy_content, &pointer, 0);
	if (content->left)
		report_missing_content(thread, content->left);
	return 0;
}

static __noinline int end_transfer(struct thread *thread, __u64 id, __u32 direction, __s64 result)
{
	if (!thread || result == 0)
		return 0;

	struct run *run = &thread->runs[direction & 1];
	__u64 offset = thread->offsets[direction & 1];
	__u64 time = bpf_ktime_get_ns();

	if (result < 0)
		report_run(thread, id, direction, 0);
	if (run->count == 0)
		run->start_time = thread->start_time;
	run->end_time = time;
	run->duration += time - thread->start_time;
	run->count++;
	if (result < 0) {
		report_run(thread, id, direction, (__u32)-result);
		return 0;
	}
	run->bytes += result;
	if (offset > run->offset)
		run->offset = offset;
	if (run->is_rollout)
		record_content(thread, thread->number, result, time);
	return 0;
}

#endif
