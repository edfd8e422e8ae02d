/* SPDX-License-Identifier: Apache-2.0 */
#include "arguments.h"

#include <errno.h>
#include <string.h>

napi_value make_error(napi_env env, const char *what, int error)
{
	static const struct {
		int number;
		const char *name;
	} names[] = {
		{ EPERM, "EPERM" },   { EACCES, "EACCES" }, { EINVAL, "EINVAL" }, { ENOENT, "ENOENT" },
		{ ENOMEM, "ENOMEM" }, { ENOSYS, "ENOSYS" }, { E2BIG, "E2BIG" },   { ENOTSUP, "ENOTSUP" },
		{ EBADF, "EBADF" },   { ESRCH, "ESRCH" },   { EMFILE, "EMFILE" }, { EBUSY, "EBUSY" },
		{ EAGAIN, "EAGAIN" },
	};
	const char *name = "EUNKNOWN";
	char text[256];
	napi_value code, message, result;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].number == error)
			name = names[i].name;
	}
	strcpy(text, what);
	strcat(text, ": ");
	strncat(text, strerror(error), sizeof(text) - strlen(text) - 1);
	if (napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &code) != napi_ok ||
	    napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &message) != napi_ok ||
	    napi_create_error(env, code, message, &result) != napi_ok)
		return NULL;
	return result;
}

napi_value throw_errno(napi_env env, const char *what, int error)
{
	napi_value thrown = make_error(env, what, error);

	if (thrown)
		napi_throw(env, thrown);
	return NULL;
}

bool throw_argument(napi_env env)
{
	napi_throw_type_error(env, "EINVAL", "wrong argument for the native shim");
	return false;
}

bool get_arguments(napi_env env, napi_callback_info info, napi_value *arguments, size_t wanted)
{
	size_t count = wanted;

	if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count < wanted)
		return throw_argument(env);
	return true;
}

bool get_bytes(napi_env env, napi_value value, void **bytes, size_t *length)
{
	bool is_typed_array = false;
	napi_typedarray_type type;
	size_t elements;
	static const uint8_t sizes[] = { 1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8 };

	if (napi_is_typedarray(env, value, &is_typed_array) != napi_ok || !is_typed_array ||
	    napi_get_typedarray_info(env, value, &type, &elements, bytes, NULL, NULL) != napi_ok ||
	    (size_t)type >= sizeof(sizes))
		return throw_argument(env);
	*length = elements * sizes[type];
	return true;
}

bool get_index(napi_env env, napi_value value, uint32_t limit, uint32_t *index)
{
	if (napi_get_value_uint32(env, value, index) != napi_ok || *index >= limit)
		return throw_argument(env);
	return true;
}

bool get_string(napi_env env, napi_value value, char *text, size_t capacity)
{
	size_t length;

	if (napi_get_value_string_utf8(env, value, text, capacity, &length) != napi_ok || length + 1 >= capacity)
		return throw_argument(env);
	return true;
}

napi_value make_number(napi_env env, double value)
{
	napi_value result = NULL;

	napi_create_double(env, value, &result);
	return result;
}
