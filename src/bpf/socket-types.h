/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What the kernel knows of a socket.
 */
#ifndef AGSIGHT_SOCKET_TYPES_H
#define AGSIGHT_SOCKET_TYPES_H

#include "kernel-types.h"

/* Parts of kernel types, under names of their own: what follows ___ does not count. */
struct in6_addr___socket {
	__u8 bytes[16];
} RELOCATED;

struct sock_common___socket {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	struct in6_addr___socket skc_v6_daddr;
	struct in6_addr___socket skc_v6_rcv_saddr;
} RELOCATED;

struct sock___socket {
	struct sock_common___socket __sk_common;
	__u16 sk_protocol;
	unsigned char sk_shutdown;
	int sk_err;
} RELOCATED;

struct tcp_sock___socket {
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 bytes_retrans;
} RELOCATED;

struct socket___socket {
	short type;
	struct sock___socket *sk;
} RELOCATED;

struct inode___socket {
	unsigned short i_mode;
} RELOCATED;

struct file___socket {
	struct inode___socket *f_inode;
	void *private_data;
} RELOCATED;

struct fdtable___socket {
	unsigned int max_fds;
	struct file___socket **fd;
} RELOCATED;

struct files_struct___socket {
	struct fdtable___socket *fdt;
} RELOCATED;

struct task_struct___socket {
	struct files_struct___socket *files;
} RELOCATED;

#define FILE_TYPE_MASK 0170000
#define FILE_TYPE_SOCKET 0140000
#define TYPE_STREAM 1
#define PROTOCOL_TCP 6
#define FAMILY_INET 2
#define FAMILY_INET6 10

static __always_inline struct file___socket *file_behind(__u32 descriptor)
{
	struct task_struct___socket *task = (void *)bpf_get_current_task();
	struct fdtable___socket *table = BPF_CORE_READ(task, files, fdt);
	struct file___socket **files = BPF_CORE_READ(table, fd);
	struct file___socket *file = 0;

	if (descriptor < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), files + descriptor);
	return file;
}

static __always_inline struct sock___socket *tcp_socket_of(__u32 descriptor)
{
	struct file___socket *file = file_behind(descriptor);

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & FILE_TYPE_MASK) != FILE_TYPE_SOCKET)
		return 0;

	struct socket___socket *socket = BPF_CORE_READ(file, private_data);

	if (BPF_CORE_READ(socket, type) != TYPE_STREAM)
		return 0;

	struct sock___socket *sk = BPF_CORE_READ(socket, sk);
	unsigned short family = BPF_CORE_READ(sk, __sk_common.skc_family);

	if ((family != FAMILY_INET && family != FAMILY_INET6) || BPF_CORE_READ(sk, sk_protocol) != PROTOCOL_TCP)
		return 0;
	return sk;
}

#endif
