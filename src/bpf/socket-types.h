/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What the kernel knows of a socket.
 */
#ifndef AGSIGHT_SOCKET_TYPES_H
#define AGSIGHT_SOCKET_TYPES_H

#include "descriptor.h"

struct in6_addr {
	__u8 bytes[16];
} RELOCATED;

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
} RELOCATED;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	unsigned char sk_shutdown;
	int sk_err;
} RELOCATED;

struct tcp_sock {
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 bytes_retrans;
} RELOCATED;

struct socket {
	short type;
	struct sock *sk;
} RELOCATED;

#define TYPE_STREAM 1
#define PROTOCOL_TCP 6
#define FAMILY_INET 2
#define FAMILY_INET6 10

static __always_inline struct sock *tcp_socket_of(struct file *file)
{
	if (type_of(file) != S_IFSOCK)
		return 0;

	struct socket *socket = BPF_CORE_READ(file, private_data);

	if (BPF_CORE_READ(socket, type) != TYPE_STREAM)
		return 0;

	struct sock *sk = BPF_CORE_READ(socket, sk);
	unsigned short family = BPF_CORE_READ(sk, __sk_common.skc_family);

	if ((family != FAMILY_INET && family != FAMILY_INET6) || BPF_CORE_READ(sk, sk_protocol) != PROTOCOL_TCP)
		return 0;
	return sk;
}

#endif
