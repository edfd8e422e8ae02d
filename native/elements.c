/* SPDX-License-Identifier: Apache-2.0 */
#include "elements.h"

#include <string.h>

#include "session.h"

#define MAX_CPUS 4096

/* setElement(session, map, key, value) */
napi_value set_element(napi_env env, napi_callback_info info)
{
	napi_value arguments[4];
	struct session *session;
	uint32_t map;
	void *key, *value;
	size_t size;
	int error;

	if (!get_arguments(env, info, arguments, 4) || !get_session(env, arguments[0], &session) ||
	    !get_index(env, arguments[1], session->map_count, &map) || !get_bytes(env, arguments[2], &key, &size) ||
	    !get_bytes(env, arguments[3], &value, &size))
		return NULL;
	error = kernel_map_update(session->map_fds[map], key, value);
	if (error < 0)
		return throw_errno(env, "write a map", -error);
	return NULL;
}

/* deleteElement(session, map, key) → whether it was there */
napi_value delete_element(napi_env env, napi_callback_info info)
{
	napi_value arguments[3], result = NULL;
	struct session *session;
	uint32_t map;
	void *key;
	size_t size;

	if (!get_arguments(env, info, arguments, 3) || !get_session(env, arguments[0], &session) ||
	    !get_index(env, arguments[1], session->map_count, &map) || !get_bytes(env, arguments[2], &key, &size))
		return NULL;
	napi_get_boolean(env, kernel_map_delete(session->map_fds[map], key) == 0, &result);
	return result;
}

/* readCounter(session, map, index) → the sum over all CPUs */
napi_value read_counter(napi_env env, napi_callback_info info)
{
	napi_value arguments[3];
	struct session *session;
	uint32_t map, key;
	static uint64_t values[MAX_CPUS];
	uint64_t sum = 0;
	int error;

	if (!get_arguments(env, info, arguments, 3) || !get_session(env, arguments[0], &session) ||
	    !get_index(env, arguments[1], session->map_count, &map) || !get_index(env, arguments[2], UINT32_MAX, &key))
		return NULL;
	memset(values, 0, sizeof(values));
	error = kernel_map_lookup(session->map_fds[map], &key, values);
	if (error < 0)
		return throw_errno(env, "read a counter", -error);
	for (int cpu = 0; cpu < MAX_CPUS; cpu++)
		sum += values[cpu];
	return make_number(env, (double)sum);
}

/*
 * readElements(session, map, keySize, entries: Uint8Array) → how many bytes were filled: keys of that size, each before
 * its 64-bit value. For maps from which nothing is removed.
 */
napi_value read_elements(napi_env env, napi_callback_info info)
{
	napi_value arguments[4];
	struct session *session;
	uint32_t map, key_size;
	uint8_t *entries, *key = NULL;
	size_t capacity, filled = 0;

	if (!get_arguments(env, info, arguments, 4) || !get_session(env, arguments[0], &session) ||
	    !get_index(env, arguments[1], session->map_count, &map) || !get_index(env, arguments[2], 256, &key_size) ||
	    !get_bytes(env, arguments[3], (void **)&entries, &capacity))
		return NULL;
	while (filled + key_size + sizeof(uint64_t) <= capacity) {
		uint8_t *next = entries + filled;

		if (kernel_map_next_key(session->map_fds[map], key, next) < 0)
			break;
		key = next;
		if (kernel_map_lookup(session->map_fds[map], key, next + key_size) < 0)
			break;
		filled += key_size + sizeof(uint64_t);
	}
	return make_number(env, (double)filled);
}
