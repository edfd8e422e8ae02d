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
#define ARG1(ctx) settled((ctx)->di)
#define ARG2(ctx) settled((ctx)->si)
#define ARG3(ctx) settled((ctx)->dx)
#define ARG4(ctx) settled((ctx)->cx)
/* Arguments from the seventh on, above the return address. */
#define ARG7(ctx) stack_word((ctx)->sp + 8)
#define ARG8(ctx) stack_word((ctx)->sp + 16)
#define ARG9(ctx) stack_word((ctx)->sp + 24)
#define ARG10(ctx) stack_word((ctx)->sp + 32)
#define ARG12(ctx) stack_word((ctx)->sp + 48)
#define ARG13(ctx) stack_word((ctx)->sp + 56)
#define RETURN_VALUE(ctx) settled((ctx)->ax)
/* Where a Rust function that returns more than two words is to put it; its arguments come after that. */
#define RUST_RESULT(ctx) settled((ctx)->di)
#define RUST_ARG1(ctx) settled((ctx)->si)
#define RUST_ARG3(ctx) settled((ctx)->cx)
#define RUST_ARG4(ctx) settled((ctx)->r8)
#define RUST_ARG5(ctx) settled((ctx)->r9)
#define RUST_ARG6(ctx) stack_word((ctx)->sp + 8)
#define RUST_ARG7(ctx) stack_word((ctx)->sp + 16)
/* As of Go 1.17: arguments and results begin in the same register. */
#define GO_ARG1(ctx) settled((ctx)->ax)
#define GO_ARG2(ctx) settled((ctx)->bx)
#define GO_ARG3(ctx) settled((ctx)->cx)
#define GO_GOROUTINE(ctx) settled((ctx)->r14)
#define STACK_POINTER(ctx) settled((ctx)->sp)
#elif defined(__TARGET_ARCH_arm64)
struct registers {
	unsigned long x[31];
	unsigned long sp;
};
#define ARG1(ctx) settled((ctx)->x[0])
#define ARG2(ctx) settled((ctx)->x[1])
#define ARG3(ctx) settled((ctx)->x[2])
#define ARG4(ctx) settled((ctx)->x[3])
#define ARG7(ctx) settled((ctx)->x[6])
#define ARG8(ctx) settled((ctx)->x[7])
#define ARG9(ctx) stack_word((ctx)->sp)
#define ARG10(ctx) stack_word((ctx)->sp + 8)
#define ARG12(ctx) stack_word((ctx)->sp + 24)
#define ARG13(ctx) stack_word((ctx)->sp + 32)
#define RETURN_VALUE(ctx) settled((ctx)->x[0])
#define RUST_RESULT(ctx) settled((ctx)->x[8])
#define RUST_ARG1(ctx) settled((ctx)->x[0])
#define RUST_ARG3(ctx) settled((ctx)->x[2])
#define RUST_ARG4(ctx) settled((ctx)->x[3])
#define RUST_ARG5(ctx) settled((ctx)->x[4])
#define RUST_ARG6(ctx) settled((ctx)->x[5])
#define RUST_ARG7(ctx) settled((ctx)->x[6])
/* As of Go 1.18. */
#define GO_ARG1(ctx) settled((ctx)->x[0])
#define GO_ARG2(ctx) settled((ctx)->x[1])
#define GO_ARG3(ctx) settled((ctx)->x[2])
#define GO_GOROUTINE(ctx) settled((ctx)->x[28])
#define STACK_POINTER(ctx) settled((ctx)->sp)
#endif

/* Keeps the compiler from choosing between two registers by address, which the verifier does not allow. */
static __always_inline __u64 settled(__u64 value)
{
	asm volatile("" : "+r"(value));
	return value;
}

/* The number of a system call. */
#if defined(__TARGET_ARCH_x86)
#define CALL_NUMBER(x86, arm64) x86
#elif defined(__TARGET_ARCH_arm64)
#define CALL_NUMBER(x86, arm64) arm64
#endif

static __always_inline __u64 stack_word(unsigned long address)
{
	__u64 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)address);
	return word;
}

/* The few kernel fields that are needed, found at load time by their names (CO-RE). */
#define RELOCATED __attribute__((preserve_access_index))

/*
 * The registers of the caller in a system call: its number, which the return still tells, and its arguments, of which the
 * first may be gone by then.
 */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r10, r9, r8, dx, si, di, orig_ax;
} RELOCATED;
#define CALL_ARGUMENTS(r) { (r)->di, (r)->si, (r)->dx, (r)->r10, (r)->r8, (r)->r9 }
#define CALL_OF(r) ((r)->orig_ax)
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	__u64 regs[31];
	__u64 pstate;
	int syscallno;
} RELOCATED;
#define CALL_ARGUMENTS(r) { (r)->regs[0], (r)->regs[1], (r)->regs[2], (r)->regs[3], (r)->regs[4], (r)->regs[5] }
#define CALL_OF(r) ((__u64)(r)->syscallno)
#endif

typedef struct RELOCATED {
	int counter;
} atomic_t;

struct RELOCATED io_kiocb {
	__u8 opcode;
};

struct signal_struct {
	atomic_t live;
	int group_exit_code;
	unsigned int flags;
} RELOCATED;

struct mm_struct {
	unsigned long arg_start, arg_end, env_start, env_end;
} RELOCATED;

struct super_block {
	unsigned int s_dev;
	unsigned long s_magic;
} RELOCATED;

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
	long long i_size;
	struct super_block *i_sb;
} RELOCATED;

struct qstr {
	unsigned int len;
	const unsigned char *name;
} RELOCATED;

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
} RELOCATED;

struct vfsmount {
	struct dentry *mnt_root;
} RELOCATED;

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
} RELOCATED;

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} RELOCATED;

struct file {
	unsigned int f_mode;
	unsigned int f_flags;
	struct path f_path;
	struct inode *f_inode;
	long long f_pos;
	void *private_data;
} RELOCATED;

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
} RELOCATED;

struct files_struct {
	struct fdtable *fdt;
} RELOCATED;

struct fs_struct {
	struct path root;
	struct path pwd;
} RELOCATED;

#if defined(__TARGET_ARCH_x86)
struct thread_info {
	unsigned int status;
} RELOCATED;
#endif

struct task_struct {
#if defined(__TARGET_ARCH_x86)
	struct thread_info thread_info;
#endif
	int pid;
	int tgid;
	int exit_code;
	struct task_struct *real_parent;
	struct signal_struct *signal;
	struct mm_struct *mm;
	struct files_struct *files;
	struct fs_struct *fs;
	char comm[16];
} RELOCATED;

struct linux_binprm {
	struct file *file;
	const char *filename;
} RELOCATED;

/* Whether a program of 32 bits, with numbers of its own, makes the system call in which its registers are `r`. */
#if defined(__TARGET_ARCH_x86)
#define TS_COMPAT 0x2
/* Also of a program of 64 bits that calls through int 0x80; and those of the x32 ABI. */
#define IS_32_BIT(r, number) (bpf_get_current_task_btf()->thread_info.status & TS_COMPAT || (number) & 0x40000000)
#elif defined(__TARGET_ARCH_arm64)
#define IS_32_BIT(r, number) ((r)->pstate & 0x10)
#endif

#endif
