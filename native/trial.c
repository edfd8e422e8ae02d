/* SPDX-License-Identifier: Apache-2.0 */
#include "trial.h"

#include <unistd.h>

#include "arguments.h"
#include "kernel.h"

/* loadFentry(functionId): throws when the kernel refuses an fentry program on its function with this BTF id */
napi_value load_fentry(napi_env env, napi_callback_info info)
{
	napi_value arguments[1];
	uint32_t function;
	int fd;

	if (!get_arguments(env, info, arguments, 1) || !get_index(env, arguments[0], UINT32_MAX, &function))
		return NULL;
	fd = kernel_load_fentry(function);
	if (fd < 0)
		return throw_errno(env, "load an fentry program", -fd);
	close(fd);
	return NULL;
}

/* Has the signature of SSL_write. Called through a volatile pointer, so that it is called at all. */
static int write_like(void *connection, const void *bytes, int count)
{
	__asm__ volatile("" ::"r"(connection), "r"(bytes) : "memory");
	return count;
}

static int (*volatile write_bytes)(void *, const void *, int) = write_like;

/* moveBytes(bytes) → the address of the function like SSL_write that was called with them, a BigInt */
napi_value move_bytes(napi_env env, napi_callback_info info)
{
	napi_value arguments[1], result = NULL;
	void *bytes;
	size_t length;

	if (!get_arguments(env, info, arguments, 1) || !get_bytes(env, arguments[0], &bytes, &length))
		return NULL;
	write_bytes(arguments, bytes, (int)length);
	napi_create_bigint_uint64(env, (uintptr_t)write_bytes, &result);
	return result;
}
