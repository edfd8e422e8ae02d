/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The programs on system calls: what a followed process does to files, permissions and the network, and what came
 * of it. The first thing that each does is to let calls and processes go that are not followed.
 */
#ifndef AGSIGHT_OPERATION_H
#define AGSIGHT_OPERATION_H

#include "library.h"
#include "path.h"
#include "socket.h"
#include "system-call-table.h"
#include "thread.h"
#include "transfer.h"

#define AT_FDCWD (-100)
#define AT_REMOVEDIR 0x200
#define O_ACCMODE 3
#define O_WRONLY 1
#define O_CREAT 0100
#define O_TRUNC 01000
#define FMODE_CREATED 0x100000
#define PROT_WRITE 2
#define MAP_TYPE 3
#define MAP_PRIVATE 2
#define ADDRESS_BYTES 128

static __always_inline __u64 argument(struct thread *thread, __u32 position)
{
	return thread->arguments[(position - 1) & 7];
}

/* The flags of an open, whichever call it is; creat has none of its own. Stored as the call's first two values. */
static __always_inline void read_open_flags(struct thread *thread, const struct call_form *form, __u32 number, __u64 *values)
{
	if (number == CALL_OPENAT2)
		bpf_probe_read_user(values, 2 * sizeof(*values), (void *)argument(thread, form->values));
	else if (form->values == 0) {
		values[0] = O_WRONLY | O_CREAT | O_TRUNC;
		values[1] = argument(thread, 2);
	} else {
		values[0] = argument(thread, form->values);
		values[1] = argument(thread, form->values + 1);
	}
}

static __always_inline void append_working_directory(struct draft *draft, __u32 part)
{
	struct fs_struct *fs = bpf_get_current_task_btf()->fs;

	append_path(draft, &fs->pwd, part);
}

/* Where the path at a descriptor begins. */
static __always_inline void append_directory(struct draft *draft, __s32 descriptor, __u64 name, __u32 part)
{
	struct fs_struct *fs = bpf_get_current_task_btf()->fs;
	char first = 0;

	bpf_probe_read_user(&first, sizeof(first), (void *)name);
	if (first == '/') {
		append_path(draft, &fs->root, part);
	} else if (descriptor == AT_FDCWD) {
		append_working_directory(draft, part);
	} else {
		struct file *file = file_of(descriptor);

		if (file)
			append_path(draft, &file->f_path, part);
	}
}

/* One end of a copy, which may be a pipe or a socket as well. */
static __always_inline void transfer_at(struct thread *thread, __u64 id, __u32 descriptor, __u32 direction)
{
	struct file *file = file_of(descriptor);

	if (type_of(file) == S_IFREG)
		begin_transfer(thread, id, file, direction);
}

/* `file` is that of the first argument where bytes are moved. Returns whether there will be something to record. */
static __always_inline int enter(struct thread *thread, __u64 id, const struct call_form *form, __u32 number,
				 const struct process *process, struct file *file)
{
	__u64 values[2] = {};

	switch (form->operation) {
	case CALL_COPY:
		transfer_at(thread, id, argument(thread, form->descriptor), 1);
		transfer_at(thread, id, argument(thread, form->target), 0);
		return thread->moves != 0;
	case OPERATION_READ:
	case OPERATION_WRITE:
		begin_transfer(thread, id, file, form->operation == OPERATION_WRITE);
		if (form->offset) {
			__s64 offset = argument(thread, form->offset);

			/* preadv2 and pwritev2 take -1 for the file's own position. */
			if (offset >= 0 && !thread->appends)
				thread->offsets[form->operation == OPERATION_WRITE] = offset;
		}
		return thread->moves != 0;
	case CALL_IO_URING:
		if (argument(thread, 2) && !(process->flags & PROCESS_SEES_RINGS))
			count(COUNTER_IO_URING);
		return 0;
	case OPERATION_OPEN:
		read_open_flags(thread, form, number, values);
		return values[0] & (O_ACCMODE | O_CREAT | O_TRUNC);
	default:
		return 1;
	}
}

/* Most opens only read, and most maps are private: told by the arguments alone. */
static __always_inline int changes_nothing(const struct call_form *form, __u32 number, const __u64 *arguments)
{
	if (form->operation == OPERATION_OPEN && form->values && number != CALL_OPENAT2)
		return !(arguments[form->values == 2 ? 1 : 2] & (O_ACCMODE | O_CREAT | O_TRUNC));
	if (form->operation == OPERATION_MAP)
		return !(arguments[2] & PROT_WRITE) || (arguments[3] & MAP_TYPE) == MAP_PRIVATE || (__s32)arguments[4] < 0;
	return 0;
}

/* Half of all calls are waits, for which nobody is looked up. */
static __always_inline const struct call_form *form_of(__u64 number)
{
	const struct call_form *form = &call_forms[number & (MAX_CALL - 1)];

	/* The x32 ABI marks its numbers. */
	return (number < MAX_CALL || number & 0x40000000) && form->operation ? form : 0;
}

SEC("tp_btf/sys_enter")
int on_call(__u64 *ctx)
{
	struct pt_regs *registers = (void *)ctx[0];
	__u64 number = ctx[1];
	const struct call_form *form = form_of(number);

	if (!form)
		return 0;

	__u64 arguments[] = CALL_ARGUMENTS(registers);
	__u32 is_32_bit = !!(IS_32_BIT(registers, number));
	__u32 is_code = maps_code(number, arguments);
	__u32 is_idle = changes_nothing(form, number, arguments);

	if (is_idle && !is_code && !is_32_bit)
		return 0;

	__u64 id = bpf_get_current_pid_tgid();
	__u32 pid = id >> 32;
	struct process *process = bpf_map_lookup_elem(&processes, &pid);

	if (!process)
		return 0;
	if (is_32_bit) {
		count(COUNTER_32_BIT_CALLS);
		return 0;
	}
	if (is_code)
		library_call_enter(process, arguments[4]);

	struct thread *thread;

	if (form->operation == CALL_CLOSE) {
		thread = bpf_map_lookup_elem(&threads, &id);
		if (thread)
			end_runs(thread, id);
		return 0;
	}

	__u32 moves = form->operation == OPERATION_READ || form->operation == OPERATION_WRITE;
	struct file *file = moves || form->operation == CALL_COPY || form->operation == CALL_SOCKET ? file_of(arguments[0]) : 0;
	__u32 type = type_of(file);

	/* Pipes, events and terminals. */
	if (moves && type != S_IFREG && type != S_IFSOCK)
		return 0;

	__u32 socket_call = type == S_IFREG ? SOCKET_CALL_NONE : socket_call_enter(id, process, number, arguments, file);

	if (!socket_call && (form->operation == CALL_SOCKET || process->flags & PROCESS_NO_FILES || is_idle ||
			     (moves && type != S_IFREG)))
		return 0;
	thread = find_thread(id, process->root_pid);
	if (!thread)
		return 0;
	thread->operation = 0;
	thread->socket_call = socket_call;
	/* sendfile() reads a file as well. */
	if ((socket_call && form->operation != CALL_COPY) || process->flags & PROCESS_NO_FILES)
		return 0;

	__builtin_memcpy(thread->arguments, arguments, sizeof(arguments));
	thread->start_time = bpf_ktime_get_ns();
	thread->number = number;
	thread->moves = 0;
	if (!moves)
		thread->owner = bpf_get_current_uid_gid();
	thread->operation = enter(thread, id, form, number, process, file) ? form->operation : 0;
	return 0;
}

static __always_inline void describe_opened(struct draft *draft, __u32 descriptor)
{
	struct file *file = file_of(descriptor);

	if (!file)
		return;
	describe_inode(draft, BPF_CORE_READ(file, f_inode));
	if (BPF_CORE_READ(file, f_mode) & FMODE_CREATED)
		draft->record.header.flags |= OPERATION_CREATED;
	append_path(draft, &file->f_path, 0);
}

static __always_inline void record_operation(struct thread *thread, __u32 number, __s64 result, __u64 time)
{
	const struct call_form *form = &call_forms[number & (MAX_CALL - 1)];
	__u32 operation = form->operation;

	end_runs(thread, bpf_get_current_pid_tgid());

	struct draft *draft = new_draft(RECORD_OPERATION, time, thread->root_pid, operation);

	if (!draft)
		return;

	struct operation_record *record = &draft->record;

	record->start_time = thread->start_time;
	record->result = result;
	record->uid = (__u32)thread->owner;
	record->gid = thread->owner >> 32;
	if (operation == OPERATION_OPEN) {
		read_open_flags(thread, form, number, record->values);
	} else if (form->values) {
		for (__u32 i = 0; i < 4; i++)
			record->values[i] = argument(thread, form->values + i);
	}
	if (operation == OPERATION_DELETE && record->values[0] & AT_REMOVEDIR && form->values)
		record->operation = OPERATION_RMDIR;

	if (operation == OPERATION_OPEN && result >= 0) {
		describe_opened(draft, result);
	} else if (operation == OPERATION_CONNECT) {
		__u64 length = argument(thread, 3);

		CLAMP(length, ADDRESS_BYTES);
		if (!bpf_probe_read_user(draft->data, length, (void *)argument(thread, 2))) {
			record->lengths[1] = length;
			draft->length = length;
		}
	} else if (operation == OPERATION_CAPSET) {
		__u32 sets[6] = {};

		/* Version 1 of the call has one set of 32 bits each instead of two. */
		if (bpf_probe_read_user(sets, sizeof(sets), (void *)argument(thread, 2)))
			bpf_probe_read_user(sets, sizeof(sets) / 2, (void *)argument(thread, 2));
		for (int i = 0; i < 3; i++)
			record->values[i] = sets[i] | (__u64)sets[i + 3] << 32;
	} else if (form->descriptor) {
		struct file *file = file_of(argument(thread, form->descriptor));

		if (file) {
			describe_inode(draft, BPF_CORE_READ(file, f_inode));
			/* What is mapped may be a device or the queue of an io_uring. */
			if (operation == OPERATION_MAP && (record->mode & S_IFMT) != S_IFREG)
				return;
			append_path(draft, &file->f_path, 0);
		}
	} else if (form->path) {
		append_directory(draft, form->directory ? argument(thread, form->directory) : AT_FDCWD,
				 argument(thread, form->path), 0);
		append_string(draft, argument(thread, form->path), 1);
		if (form->target) {
			if (operation != OPERATION_SYMLINK)
				append_directory(draft,
						 form->target_directory ? argument(thread, form->target_directory) : AT_FDCWD,
						 argument(thread, form->target), 2);
			append_string(draft, argument(thread, form->target), 3);
		}
		if (operation == OPERATION_EXEC)
			append_working_directory(draft, 2);
	}
	submit_draft(draft);
}

SEC("tp_btf/sys_exit")
int on_call_return(__u64 *ctx)
{
	struct pt_regs *registers = (void *)ctx[0];
	__u64 number = CALL_OF(registers);
	const struct call_form *form = form_of(number);

	if (!form || form->operation == CALL_CLOSE)
		return 0;

	__u64 arguments[] = CALL_ARGUMENTS(registers);

	if (changes_nothing(form, number, arguments))
		return 0;

	__u64 id = bpf_get_current_pid_tgid();
	struct thread *thread = bpf_map_lookup_elem(&threads, &id);

	if (!thread)
		return 0;

	__s64 result = ctx[1];

	if (thread->socket_call) {
		socket_call_exit(id, thread->root_pid, thread->socket_call, result);
		thread->socket_call = 0;
	}
	if (!thread->operation)
		return 0;

	__u32 operation = thread->operation;

	thread->operation = 0;
	if (thread->moves) {
		if (thread->moves & 1)
			end_transfer(thread, id, 0, result);
		if (thread->moves & 2)
			end_transfer(thread, id, 1, result);
		return 0;
	}
	/* An exec that succeeds has a record of its own. */
	if (operation == OPERATION_EXEC && result == 0)
		return 0;
	record_operation(thread, thread->number, result, bpf_ktime_get_ns());
	return 0;
}

#endif
