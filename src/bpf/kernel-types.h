/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What the program knows of the machine and of the kernel: the registers of a probed function and the few fields of
 * the kernel that are needed, found at load time by their names (CO-RE).
 */
#ifndef AGSIGHT_KERNEL_TYPES_H
#define AGSIGHT_KERNEL_TYPES_H

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

#endif
