/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The kernel side of `agsight capture`: copies the plaintext of TLS calls and the life of processes into
 * one ring buffer. It decides nothing: which processes are followed is in the map `processes`, which
 * functions are probed, and what they are, comes with the probe as its cookie.
 *
 * Compiled once per architecture and once per way of attaching (perf events; uprobe_multi links), because
 * the kernel fixes the attach type when a program is loaded. src/bpf/build.js says how.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "record.h"

#if defined(__TARGET_ARCH_x86)
struct registers {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
	unsigned long original_ax, ip, cs, flags, sp;
};
#define ARG1(ctx) ((ctx)->di)
#define ARG2(ctx) ((ctx)->si)
#define ARG3(ctx) ((ctx)->dx)
#define ARG4(ctx) ((ctx)->cx)
/* Arguments 7 to 10, above the return address. */
#define ARG7(ctx) stack_word((ctx)->sp + 8)
#define ARG8(ctx) stack_word((ctx)->sp + 16)
#define ARG9(ctx) stack_word((ctx)->sp + 24)
#define ARG10(ctx) stack_word((ctx)->sp + 32)
#define RETURN_VALUE(ctx) ((ctx)->ax)
#elif defined(__TARGET_ARCH_arm64)
struct registers {
	unsigned long x[31];
	unsigned long sp;
};
#define ARG1(ctx) ((ctx)->x[0])
#define ARG2(ctx) ((ctx)->x[1])
#define ARG3(ctx) ((ctx)->x[2])
#define ARG4(ctx) ((ctx)->x[3])
#define ARG7(ctx) ((ctx)->x[6])
#define ARG8(ctx) ((ctx)->x[7])
#define ARG9(ctx) stack_word((ctx)->sp)
#define ARG10(ctx) stack_word((ctx)->sp + 8)
#define RETURN_VALUE(ctx) ((ctx)->x[0])
#endif

static __always_inline __u64 stack_word(unsigned long address)
{
	__u64 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)address);
	return word;
}

/* The few kernel fields that are needed, found at load time by their names (CO-RE). */
#define RELOCATED __attribute__((preserve_access_index))

typedef struct RELOCATED {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
	int group_exit_code;
	unsigned int flags;
} RELOCATED;

struct mm_struct {
	unsigned long arg_start, arg_end, env_start, env_end;
} RELOCATED;

struct task_struct {
	int pid;
	int tgid;
	int exit_code;
	struct task_struct *real_parent;
	struct signal_struct *signal;
	struct mm_struct *mm;
	char comm[16];
} RELOCATED;

struct linux_binprm {
	const char *filename;
} RELOCATED;

#define SIGNAL_GROUP_EXIT 0x4
#define CALL_CHUNKS (CALL_LIMIT_BYTES / CHUNK_BYTES + 1)
#define MAX_VARIABLES 1024

struct process {
	__u32 root_pid;
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
	__u64 offset[2]; /* by direction: sent, received */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 20);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct process);
} processes SEC(".maps");

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

static __always_inline void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);
	if (value)
		__sync_fetch_and_add(value, 1);
}

/* Keeps `value` within `limit` where the verifier sees it and the compiler cannot reason it away. */
#define CLAMP(value, limit)                                              \
	asm volatile("if %[v] <= %[l] goto +1; %[v] = %[l]"              \
		     : [v] "+r"(value)                                   \
		     : [l] "i"(limit))

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

static __always_inline void submit(void *record)
{
	bpf_ringbuf_submit(record, 0);
	count(COUNTER_RECORDS);
}

/* TLS ---------------------------------------------------------------------------------------------- */

static __always_inline void fill_tls(struct tls_record *record, struct call *call, __u16 flags)
{
	fill_header(&record->header, RECORD_TLS, call->end_time, call->root_pid);
	record->header.flags = (call->cookie & COOKIE_RECEIVE ? TLS_RECEIVE : 0) | flags;
	record->start_time = call->start_time;
	record->connection = call->connection;
	record->offset = call->offset + call->position;
	record->missing = 0;
	record->library = (__u8)(call->cookie >> COOKIE_LIBRARY_SHIFT);
	record->additional_length = 0;

	__u64 length = call->additional_length;

	CLAMP(length, ADDITIONAL_BYTES);
	if (length > 0 && !bpf_probe_read_user(record->additional, length, (void *)call->additional))
		record->additional_length = length;
}

static __always_inline void report_missing(struct call *call, __u64 missing, __u16 reason)
{
	struct tls_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNTER_TLS_RING_FULL);
		return;
	}
	fill_tls(record, call, reason);
	record->missing = missing;
	submit(record);
}

/*
 * The ring hands out constant sizes only, and one size for all would waste it: the callers pick the smallest
 * of a few that holds `length`.
 */
#define COPY_CHUNK(size)                                                                           \
	do {                                                                                       \
		struct tls_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record) + (size), 0); \
		if (!record) {                                                                     \
			count(COUNTER_TLS_RING_FULL);                                              \
			break;                                                                     \
		}                                                                                  \
		__u64 bounded = length;                                                            \
		CLAMP(bounded, size);                                                              \
		if (bpf_probe_read_user(record->data, bounded, (void *)(call->buffer + call->position))) { \
			bpf_ringbuf_discard(record, 0);                                            \
			count(COUNTER_UNREADABLE);                                                 \
			report_missing(call, length, TLS_UNREADABLE);                                \
			break;                                                                     \
		}                                                                                  \
		fill_tls(record, call, 0);                                                         \
		record->header.data_length = bounded;                                              \
		submit(record);                                                                    \
	} while (0)

struct call_pointer {
	struct call *call;
};

static long copy_chunk(__u32 index, struct call_pointer *pointer)
{
	struct call *call = pointer->call;
	__u64 length = call->length - call->position;

	CLAMP(length, CHUNK_BYTES);
	if (length <= 256)
		COPY_CHUNK(256);
	else if (length <= 1024)
		COPY_CHUNK(1024);
	else if (length <= 4096)
		COPY_CHUNK(4096);
	else if (length <= 8192)
		COPY_CHUNK(8192);
	else
		COPY_CHUNK(CHUNK_BYTES);
	call->position += length;
	return call->position >= call->length;
}

static __always_inline struct connection *find_connection(struct connection_key *key, __u64 time)
{
	struct connection *connection = bpf_map_lookup_elem(&connections, key);

	if (!connection) {
		/* A time in nanoseconds and the CPU make an id that no other connection gets. */
		struct connection fresh = { .id = time << 8 | (bpf_get_smp_processor_id() & 0xff) };

		bpf_map_update_elem(&connections, key, &fresh, BPF_NOEXIST);
		connection = bpf_map_lookup_elem(&connections, key);
	}
	return connection;
}

/* Records the `length` bytes that `call` moved. */
static __always_inline void record_transfer(struct call *call, __u32 pid, __u32 root_pid, __u64 length)
{
	struct connection_key key = { .ssl = call->ssl, .pid = pid };
	struct call_pointer pointer = { call };
	struct connection *connection;

	call->end_time = bpf_ktime_get_ns();
	call->root_pid = root_pid;
	connection = find_connection(&key, call->end_time);
	if (!connection) {
		count(COUNTER_CONNECTIONS_FULL);
		return;
	}
	call->connection = connection->id;
	/* Counted before the copy, so that what the ring cannot take shows as a gap. */
	call->offset = __sync_fetch_and_add(&connection->offset[call->cookie & COOKIE_RECEIVE], length);
	call->length = length < CALL_LIMIT_BYTES ? length : CALL_LIMIT_BYTES;
	if (length <= CHUNK_BYTES)
		copy_chunk(0, &pointer);
	else
		bpf_loop(CALL_CHUNKS, copy_chunk, &pointer, 0);
	if (length > CALL_LIMIT_BYTES) {
		count(COUNTER_OVER_LIMIT);
		report_missing(call, length - CALL_LIMIT_BYTES, TLS_OVER_LIMIT);
	}
}

static __always_inline int tls_enter(struct registers *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 pid = id >> 32;
	struct process *process = bpf_map_lookup_elem(&processes, &pid);

	if (!process)
		return 0;

	__u64 cookie = bpf_get_attach_cookie(ctx);

	if (cookie & COOKIE_HANDSHAKE) {
		struct connection_key key = { .ssl = ARG1(ctx), .pid = pid };
		struct connection *connection = bpf_map_lookup_elem(&connections, &key);

		/* A handshake where bytes have flowed: the library gave this memory to a new connection. */
		if (connection && (connection->offset[0] || connection->offset[1]))
			bpf_map_delete_elem(&connections, &key);
		return 0;
	}

	struct call fresh = { .ssl = ARG1(ctx), .buffer = ARG2(ctx), .start_time = bpf_ktime_get_ns(), .cookie = cookie };
	__u64 sealed = 0;

	if (cookie & COOKIE_AEAD) {
		fresh.additional = ARG9(ctx);
		fresh.additional_length = ARG10(ctx);
		if (cookie & COOKIE_RECEIVE) {
			fresh.count_address = ARG3(ctx);
		} else {
			fresh.buffer = ARG7(ctx);
			sealed = ARG8(ctx);
		}
	} else if (cookie & COOKIE_EX) {
		fresh.count_address = ARG4(ctx);
	}
	if (bpf_map_update_elem(&calls, &id, &fresh, BPF_ANY)) {
		count(COUNTER_CALLS_FULL);
		return 0;
	}
	/* The plaintext is often encrypted in place: after the call it would be gone. */
	if (sealed > 0) {
		struct call *call = bpf_map_lookup_elem(&calls, &id);

		if (call)
			record_transfer(call, pid, process->root_pid, sealed);
	}
	if (cookie & COOKIE_AEAD && !(cookie & COOKIE_RECEIVE))
		bpf_map_delete_elem(&calls, &id);
	return 0;
}

static __always_inline int tls_return(struct registers *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 pid = id >> 32;
	struct call *call = bpf_map_lookup_elem(&calls, &id);
	__s64 result = (int)RETURN_VALUE(ctx);
	struct process *process;
	__u64 length = result;

	if (!call)
		return 0;
	process = bpf_map_lookup_elem(&processes, &pid);
	if (!process || result <= 0)
		goto done;
	if (call->count_address && bpf_probe_read_user(&length, sizeof(length), (void *)call->count_address)) {
		count(COUNTER_UNREADABLE);
		goto done;
	}
	if (length > 0)
		record_transfer(call, pid, process->root_pid, length);
done:
	bpf_map_delete_elem(&calls, &id);
	return 0;
}

SEC("uprobe")
int on_tls_enter(struct registers *ctx)
{
	return tls_enter(ctx);
}

SEC("uretprobe")
int on_tls_return(struct registers *ctx)
{
	return tls_return(ctx);
}

/* Processes ---------------------------------------------------------------------------------------- */

static __always_inline __u32 parent_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, real_parent, tgid);
}

SEC("raw_tp/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *child = (void *)ctx->args[1];
	__u32 parent_pid = bpf_get_current_pid_tgid() >> 32;
	__u32 child_pid = BPF_CORE_READ(child, tgid);
	struct process *parent = bpf_map_lookup_elem(&processes, &parent_pid);

	if (!parent || child_pid == parent_pid)
		return 0;

	struct process process = { .root_pid = parent->root_pid };

	if (bpf_map_update_elem(&processes, &child_pid, &process, BPF_ANY)) {
		count(COUNTER_PROCESSES_FULL);
		return 0;
	}

	struct fork_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNTER_PROCESS_RING_FULL);
		return 0;
	}
	fill_header(&record->header, RECORD_FORK, bpf_ktime_get_ns(), process.root_pid);
	record->header.pid = child_pid;
	record->header.tid = BPF_CORE_READ(child, pid);
	record->parent_pid = parent_pid;
	__u64 owner = bpf_get_current_uid_gid();
	record->uid = (__u32)owner;
	record->gid = owner >> 32;
	record->reserved = 0;
	submit(record);
	return 0;
}

static __always_inline void fill_part(struct exec_part_record *record, struct walk *walk, __u16 type)
{
	fill_header(&record->header, type, walk->exec_time, walk->root_pid);
	record->exec_time = walk->exec_time;
	record->offset = walk->offset;
}

#define COPY_ARGV(size)                                                                              \
	do {                                                                                         \
		struct exec_part_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record) + (size), 0); \
		if (!record) {                                                                       \
			count(COUNTER_PROCESS_RING_FULL);                                            \
			break;                                                                       \
		}                                                                                    \
		__u64 bounded = length;                                                              \
		CLAMP(bounded, size);                                                                \
		if (bpf_probe_read_user(record->data, bounded, (void *)(walk->start + walk->offset))) { \
			bpf_ringbuf_discard(record, 0);                                              \
			count(COUNTER_UNREADABLE);                                                   \
			break;                                                                       \
		}                                                                                    \
		fill_part(record, walk, RECORD_ARGV);                                                \
		record->header.data_length = bounded;                                                \
		submit(record);                                                                      \
	} while (0)

struct walk_pointer {
	struct walk *walk;
};

static long copy_argv(__u32 index, struct walk_pointer *pointer)
{
	struct walk *walk = pointer->walk;
	__u64 length = walk->end - walk->start - walk->offset;

	CLAMP(length, CHUNK_BYTES);
	if (length <= 256)
		COPY_ARGV(256);
	else if (length <= 2048)
		COPY_ARGV(2048);
	else
		COPY_ARGV(CHUNK_BYTES);
	walk->offset += length;
	return walk->start + walk->offset >= walk->end;
}

/* Looks at one variable, or at the next piece of a long one; copies it when its name starts with CODEX_. */
static long copy_variable(__u32 index, struct walk_pointer *pointer)
{
	struct walk *walk = pointer->walk;
	char text[VARIABLE_BYTES];
	long length;

	if (walk->start >= walk->end)
		return 1;
	length = bpf_probe_read_user_str(text, sizeof(text), (void *)walk->start);
	if (length <= 0) {
		count(COUNTER_UNREADABLE);
		return 1;
	}

	__u32 cut = length == sizeof(text);

	if (!walk->inside_variable && length > 6 && text[0] == 'C' && text[1] == 'O' && text[2] == 'D' &&
	    text[3] == 'E' && text[4] == 'X' && text[5] == '_') {
		struct exec_part_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record) + VARIABLE_BYTES, 0);

		if (!record) {
			count(COUNTER_PROCESS_RING_FULL);
		} else {
			fill_part(record, walk, RECORD_VARIABLE);
			record->header.data_length = length - 1;
			__builtin_memcpy(record->data, text, VARIABLE_BYTES);
			submit(record);
			if (cut)
				count(COUNTER_VARIABLE_CUT);
		}
	}
	/* A full buffer ends in a NUL of the helper's own: the variable goes on at its last byte. */
	walk->start += cut ? length - 1 : length;
	walk->inside_variable = cut;
	return 0;
}

SEC("raw_tp/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	struct linux_binprm *binary = (void *)ctx->args[2];
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct process *process = bpf_map_lookup_elem(&processes, &pid);

	if (!process)
		return 0;

	__u64 id = bpf_get_current_pid_tgid();
	__u64 exec_time = bpf_ktime_get_ns();
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct walk fresh = {
		.start = BPF_CORE_READ(mm, env_start),
		.end = BPF_CORE_READ(mm, env_end),
		.exec_time = exec_time,
		.root_pid = process->root_pid,
	};
	__u64 argv_length = BPF_CORE_READ(mm, arg_end) - BPF_CORE_READ(mm, arg_start);
	struct walk_pointer pointer;

	bpf_map_update_elem(&walks, &id, &fresh, BPF_ANY);
	pointer.walk = bpf_map_lookup_elem(&walks, &id);
	if (pointer.walk) {
		bpf_loop(MAX_VARIABLES, copy_variable, &pointer, 0);
		if (pointer.walk->start < pointer.walk->end)
			count(COUNTER_ENVIRONMENT_OVER_LIMIT);

		pointer.walk->start = BPF_CORE_READ(mm, arg_start);
		pointer.walk->end = pointer.walk->start + argv_length;
		if (argv_length > ARGV_LIMIT_BYTES) {
			pointer.walk->end = pointer.walk->start + ARGV_LIMIT_BYTES;
			count(COUNTER_ARGV_OVER_LIMIT);
		}
		if (argv_length > 0)
			bpf_loop(ARGV_LIMIT_BYTES / CHUNK_BYTES + 1, copy_argv, &pointer, 0);
		bpf_map_delete_elem(&walks, &id);
	} else {
		count(COUNTER_EXECS_FULL);
	}

	struct exec_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNTER_PROCESS_RING_FULL);
		return 0;
	}
	fill_header(&record->header, RECORD_EXEC, exec_time, process->root_pid);
	record->exec_time = exec_time;
	record->argv_length = argv_length;
	record->parent_pid = parent_of(task);
	__u64 owner = bpf_get_current_uid_gid();
	record->uid = (__u32)owner;
	record->gid = owner >> 32;
	record->reserved = 0;
	record->path[0] = 0;
	bpf_probe_read_kernel_str(record->path, sizeof(record->path), BPF_CORE_READ(binary, filename));
	submit(record);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	__u64 id = bpf_get_current_pid_tgid();
	__u32 pid = id >> 32;
	struct process *process = bpf_map_lookup_elem(&processes, &pid);

	if (!process)
		return 0;
	/* The thread may have been inside a TLS call. */
	bpf_map_delete_elem(&calls, &id);

	struct signal_struct *signal = BPF_CORE_READ(task, signal);

	/* The process ends with its last thread, whichever that is. */
	if (BPF_CORE_READ(signal, live.counter) > 0)
		return 0;

	__u32 root_pid = process->root_pid;

	bpf_map_delete_elem(&processes, &pid);

	struct exit_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNTER_PROCESS_RING_FULL);
		return 0;
	}
	fill_header(&record->header, RECORD_EXIT, bpf_ktime_get_ns(), root_pid);
	record->parent_pid = parent_of(task);
	__u64 owner = bpf_get_current_uid_gid();
	record->uid = (__u32)owner;
	record->gid = owner >> 32;
	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT)
		record->status = BPF_CORE_READ(signal, group_exit_code);
	else
		record->status = BPF_CORE_READ(task, exit_code);
	submit(record);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
