/* SPDX-License-Identifier: Apache-2.0 */
#include "crc32c.h"

#include <string.h>

#include "arguments.h"

#if defined(__x86_64__)
#define WITH_INSTRUCTION __attribute__((target("sse4.2")))
#define ADD_8(sum, value) ((uint32_t)__builtin_ia32_crc32di(sum, value))
#define ADD_1(sum, value) __builtin_ia32_crc32qi(sum, value)

bool has_crc32c(void)
{
	return __builtin_cpu_supports("sse4.2");
}
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#define WITH_INSTRUCTION __attribute__((target("+crc")))
#define ADD_8(sum, value) __crc32cd(sum, value)
#define ADD_1(sum, value) __crc32cb(sum, value)
#define HWCAP_OF_CRC32 (1ul << 7)

bool has_crc32c(void)
{
	return getauxval(AT_HWCAP) & HWCAP_OF_CRC32;
}
#endif

WITH_INSTRUCTION static uint32_t sum_of(const uint8_t *bytes, size_t length)
{
	uint32_t sum = ~0u;
	uint64_t word;

	for (; length >= sizeof(word); bytes += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		sum = ADD_8(sum, word);
	}
	for (; length > 0; bytes++, length--)
		sum = ADD_1(sum, *bytes);
	return ~sum;
}

/* crc32c(bytes, start, end) → the sum of that part of them */
napi_value crc32c(napi_env env, napi_callback_info info)
{
	napi_value arguments[3];
	void *bytes;
	size_t length;
	uint32_t start, end;

	if (!get_arguments(env, info, arguments, 3) || !get_bytes(env, arguments[0], &bytes, &length) ||
	    !get_index(env, arguments[1], UINT32_MAX, &start) || !get_index(env, arguments[2], UINT32_MAX, &end))
		return NULL;
	if (start > end || end > length) {
		throw_argument(env);
		return NULL;
	}
	return make_number(env, sum_of((const uint8_t *)bytes + start, end - start));
}
