/* SPDX-License-Identifier: Apache-2.0
 *
 * The N-API face of kernel.c: load, attach, drain, wait, counters, close. No policy: which skeleton, which
 * functions, which processes and what a record means is decided in src/capture. Arguments are checked there
 * too; this file only makes sure that a wrong one cannot crash Node.
 */
#include "kernel.h"

#include <errno.h>
#include <node_api.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_LINKS 4096
#define MAX_PROBES 64
#define MAX_CPUS 4096
/* Node cannot exit while a wait is in progress, so none lasts longer than this. */
#define WAIT_MS 200

/* One loaded skeleton and all that hangs on it. Freed when closed and no wait is in progress. */
struct session {
	napi_env env;
	unsigned map_count;
	unsigned program_count;
	int map_fds[MAX_MAPS];
	int program_fds[MAX_PROGRAMS];
	/* Links by id; an id is an index. -1 where detached. */
	int links[MAX_LINKS];
	int link_count;
	struct ring ring;
	int epoll_fd;
	int wake_fd;
	bool open;
	bool waiting;
};

struct wait {
	struct session *session;
	napi_async_work work;
	napi_deferred deferred;
};

/* Arguments and errors --------------------------------------------------------------------------- */

static napi_value throw_errno(napi_env env, const char *what, int error)
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
	const char *code = "EUNKNOWN";
	char message[256];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].number == error)
			code = names[i].name;
	}
	strcpy(message, what);
	strcat(message, ": ");
	strncat(message, strerror(error), sizeof(message) - strlen(message) - 1);
	napi_throw_error(env, code, message);
	return NULL;
}

static bool throw_argument(napi_env env)
{
	napi_throw_type_error(env, "EINVAL", "wrong argument for the native shim");
	return false;
}

static bool get_arguments(napi_env env, napi_callback_info info, napi_value *arguments, size_t wanted)
{
	size_t count = wanted;

	if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count < wanted)
		return throw_argument(env);
	return true;
}

static bool get_session(napi_env env, napi_value value, struct session **session)
{
	if (napi_get_value_external(env, value, (void **)session) != napi_ok)
		return throw_argument(env);
	if (!(*session)->open) {
		napi_throw_error(env, "EBADF", "the capture session is closed");
		return false;
	}
	return true;
}

static bool get_bytes(napi_env env, napi_value value, void **bytes, size_t *length)
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

static bool get_index(napi_env env, napi_value value, uint32_t limit, uint32_t *index)
{
	if (napi_get_value_uint32(env, value, index) != napi_ok || *index >= limit)
		return throw_argument(env);
	return true;
}

static bool get_string(napi_env env, napi_value value, char *text, size_t capacity)
{
	size_t length;

	if (napi_get_value_string_utf8(env, value, text, capacity, &length) != napi_ok || length + 1 >= capacity)
		return throw_argument(env);
	return true;
}

static napi_value make_number(napi_env env, double value)
{
	napi_value result = NULL;

	napi_create_double(env, value, &result);
	return result;
}

/* Session ---------------------------------------------------------------------------------------- */

static void close_session(struct session *session)
{
	uint64_t one = 1;

	if (!session->open)
		return;
	session->open = false;
	/* Programs stop with their links; the ring goes last. */
	for (int i = 0; i < session->link_count; i++) {
		if (session->links[i] >= 0)
			close(session->links[i]);
	}
	for (unsigned i = 0; i < session->program_count; i++)
		close(session->program_fds[i]);
	kernel_ring_close(&session->ring);
	for (unsigned i = 0; i < session->map_count; i++)
		close(session->map_fds[i]);
	/* A thread that waits for the ring is let go. */
	if (write(session->wake_fd, &one, sizeof(one)) < 0) {
	}
}

static void free_session(struct session *session)
{
	close(session->epoll_fd);
	close(session->wake_fd);
	free(session);
}

static void close_at_exit(void *data)
{
	close_session(data);
}

static void finalize_session(napi_env env, void *data, void *hint)
{
	struct session *session = data;

	(void)hint;
	napi_remove_env_cleanup_hook(env, close_at_exit, session);
	close_session(session);
	if (!session->waiting)
		free_session(session);
}

/* load(instructions, data, maxEntries: Uint32Array, programCount) → session */
static napi_value load(napi_env env, napi_callback_info info)
{
	napi_value arguments[4], result;
	struct skeleton skeleton = { 0 };
	void *instructions, *data, *max_entries;
	size_t max_entries_size;
	struct session *session;
	int error;

	if (!get_arguments(env, info, arguments, 4) ||
	    !get_bytes(env, arguments[0], &instructions, &skeleton.instructions_size) ||
	    !get_bytes(env, arguments[1], &data, &skeleton.data_size) ||
	    !get_bytes(env, arguments[2], &max_entries, &max_entries_size) ||
	    !get_index(env, arguments[3], MAX_PROGRAMS + 1, &skeleton.program_count))
		return NULL;
	skeleton.instructions = instructions;
	skeleton.data = data;
	skeleton.map_count = (unsigned)(max_entries_size / sizeof(uint32_t));
	if (skeleton.map_count > MAX_MAPS) {
		throw_argument(env);
		return NULL;
	}

	session = calloc(1, sizeof(*session));
	if (!session)
		return throw_errno(env, "allocate the capture session", ENOMEM);
	session->env = env;
	session->map_count = skeleton.map_count;
	session->program_count = skeleton.program_count;
	error = kernel_load(&skeleton, max_entries, session->map_fds, session->program_fds);
	if (error < 0) {
		free(session);
		return throw_errno(env, "load the eBPF programs", -error);
	}
	session->open = true;
	session->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	session->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (session->epoll_fd < 0 || session->wake_fd < 0 ||
	    epoll_ctl(session->epoll_fd, EPOLL_CTL_ADD, session->wake_fd, &(struct epoll_event){ .events = EPOLLIN })) {
		error = errno;
		close_session(session);
		free_session(session);
		return throw_errno(env, "prepare waiting for events", error);
	}
	napi_add_env_cleanup_hook(env, close_at_exit, session);
	if (napi_create_external(env, session, finalize_session, NULL, &result) != napi_ok) {
		finalize_session(env, session, NULL);
		return NULL;
	}
	return result;
}

/* close(session) */
static napi_value close_(napi_env env, napi_callback_info info)
{
	napi_value arguments[1];
	struct session *session;

	if (get_arguments(env, info, arguments, 1) &&
	    napi_get_value_external(env, arguments[0], (void **)&session) == napi_ok)
		close_session(session);
	return NULL;
}

/* Links ------------------------------------------------------------------------------------------ */

static napi_value keep_link(napi_env env, struct session *session, int fd)
{
	for (int i = 0; i < session->link_count; i++) {
		if (session->links[i] < 0) {
			session->links[i] = fd;
			return make_number(env, i);
		}
	}
	if (session->link_count == MAX_LINKS) {
		close(fd);
		return throw_errno(env, "attach", EMFILE);
	}
	session->links[session->link_count] = fd;
	return make_number(env, session->link_count++);
}

/* attachTracepoint(session, program, name) → link */
static napi_value attach_tracepoint(napi_env env, napi_callback_info info)
{
	napi_value arguments[3];
	struct session *session;
	uint32_t program;
	char name[128];
	int fd;

	if (!get_arguments(env, info, arguments, 3) || !get_session(env, arguments[0], &session) ||
	    !get_index(env, arguments[1], session->program_count, &program) ||
	    !get_string(env, arguments[2], name, sizeof(name)))
		return NULL;
	fd = kernel_attach_tracepoint(session->program_fds[program], name);
	if (fd < 0)
		return throw_errno(env, "attach to a tracepoint", -fd);
	return keep_link(env, session, fd);
}

struct probe_arguments {
	struct session *session;
	uint32_t program;
	char path[4096];
	uint64_t *offsets;
	uint64_t *cookies;
	uint32_t count;
	bool at_return;
};

/* (session, program, path, offsets: BigUint64Array, cookies: BigUint64Array, atReturn) */
static bool get_probe_arguments(napi_env env, napi_callback_info info, struct probe_arguments *probe)
{
	napi_value arguments[6];
	size_t offsets_size, cookies_size;

	if (!get_arguments(env, info, arguments, 6) || !get_session(env, arguments[0], &probe->session) ||
	    !get_index(env, arguments[1], probe->session->program_count, &probe->program) ||
	    !get_string(env, arguments[2], probe->path, sizeof(probe->path)) ||
	    !get_bytes(env, arguments[3], (void **)&probe->offsets, &offsets_size) ||
	    !get_bytes(env, arguments[4], (void **)&probe->cookies, &cookies_size))
		return false;
	probe->count = (uint32_t)(offsets_size / sizeof(uint64_t));
	if (napi_get_value_bool(env, arguments[5], &probe->at_return) != napi_ok || offsets_size != cookies_size ||
	    probe->count == 0 || probe->count > MAX_PROBES)
		return throw_argument(env);
	return true;
}

/* attachUprobeMulti(…) → [link] */
static napi_value attach_uprobe_multi(napi_env env, napi_callback_info info)
{
	struct probe_arguments probe;
	napi_value links, link;
	int fd;

	if (!get_probe_arguments(env, info, &probe))
		return NULL;
	fd = kernel_attach_uprobe_multi(probe.session->program_fds[probe.program], probe.path, probe.offsets, probe.cookies,
					probe.count, probe.at_return);
	if (fd < 0)
		return throw_errno(env, "attach uprobes", -fd);
	link = keep_link(env, probe.session, fd);
	if (link == NULL || napi_create_array(env, &links) != napi_ok || napi_set_element(env, links, 0, link) != napi_ok)
		return NULL;
	return links;
}

/* attachUprobePerf(…) → links, two for each offset */
static napi_value attach_uprobe_perf(napi_env env, napi_callback_info info)
{
	struct probe_arguments probe;
	napi_value links, link;
	uint32_t length = 0;

	if (!get_probe_arguments(env, info, &probe) || napi_create_array(env, &links) != napi_ok)
		return NULL;
	for (uint32_t i = 0; i < probe.count; i++) {
		struct perf_uprobe uprobe;
		int error = kernel_attach_uprobe_perf(probe.session->program_fds[probe.program], probe.path, probe.offsets[i],
						      probe.cookies[i], probe.at_return, &uprobe);

		if (error < 0)
			return throw_errno(env, "attach a uprobe", -error);
		link = keep_link(env, probe.session, uprobe.link_fd);
		if (link == NULL || napi_set_element(env, links, length++, link) != napi_ok)
			return NULL;
		link = keep_link(env, probe.session, uprobe.event_fd);
		if (link == NULL || napi_set_element(env, links, length++, link) != napi_ok)
			return NULL;
	}
	return links;
}

/* detach(session, link) */
static napi_value detach(napi_env env, napi_callback_info info)
{
	napi_value arguments[2];
	struct session *session;
	uint32_t link;

	if (!get_arguments(env, info, arguments, 2) || !get_session(env, arguments[0], &session) ||
	    !get_index(env, arguments[1], (uint32_t)session->link_count, &link))
		return NULL;
	if (session->links[link] >= 0)
		close(session->links[link]);
	session->links[link] = -1;
	return NULL;
}

/* Maps ------------------------------------------------------------------------------------------- */

/* setElement(session, map, key, value) */
static napi_value set_element(napi_env env, napi_callback_info info)
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
static napi_value delete_element(napi_env env, napi_callback_info info)
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
static napi_value read_counter(napi_env env, napi_callback_info info)
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

/* Ring ------------------------------------------------------------------------------------------- */

/* openRing(session, map, bytes) */
static napi_value open_ring(napi_env env, napi_callback_info info)
{
	napi_value arguments[3];
	struct session *session;
	uint32_t map, size;
	int error;

	if (!get_arguments(env, info, arguments, 3) || !get_session(env, arguments[0], &session) ||
	    !get_index(env, arguments[1], session->map_count, &map) || !get_index(env, arguments[2], UINT32_MAX, &size))
		return NULL;
	error = kernel_ring_open(session->map_fds[map], size, &session->ring);
	if (error < 0)
		return throw_errno(env, "map the ring", -error);
	if (epoll_ctl(session->epoll_fd, EPOLL_CTL_ADD, session->map_fds[map], &(struct epoll_event){ .events = EPOLLIN }))
		return throw_errno(env, "watch the ring", errno);
	return NULL;
}

/* drain(session, buffer) → bytes written */
static napi_value drain(napi_env env, napi_callback_info info)
{
	napi_value arguments[2];
	struct session *session;
	void *buffer;
	size_t capacity;

	if (!get_arguments(env, info, arguments, 2) || !get_session(env, arguments[0], &session) ||
	    !get_bytes(env, arguments[1], &buffer, &capacity))
		return NULL;
	if (!session->ring.data)
		return throw_errno(env, "drain the ring", EBADF);
	return make_number(env, (double)kernel_ring_drain(&session->ring, buffer, capacity));
}

static void wait_in_thread(napi_env env, void *data)
{
	struct wait *wait = data;
	struct epoll_event event;

	(void)env;
	epoll_wait(wait->session->epoll_fd, &event, 1, WAIT_MS);
}

static void finish_wait(napi_env env, napi_status status, void *data)
{
	struct wait *wait = data;
	struct session *session = wait->session;
	napi_value open;

	session->waiting = false;
	if (status != napi_cancelled && napi_get_boolean(env, session->open, &open) == napi_ok)
		napi_resolve_deferred(env, wait->deferred, open);
	napi_delete_async_work(env, wait->work);
	free(wait);
}

/*
 * wait(session) → promise of whether the session is still open; settles when the ring has records, the session
 * is closed or some time has passed. One at a time. Occupies a thread of Node's pool, which needs neither uv.h nor pthreads.
 */
static napi_value wait_(napi_env env, napi_callback_info info)
{
	napi_value arguments[1], promise, name;
	struct session *session;
	struct wait *wait;

	if (!get_arguments(env, info, arguments, 1) || !get_session(env, arguments[0], &session))
		return NULL;
	if (session->waiting)
		return throw_errno(env, "wait for the ring", EBUSY);
	wait = calloc(1, sizeof(*wait));
	if (!wait)
		return throw_errno(env, "wait for the ring", ENOMEM);
	wait->session = session;
	if (napi_create_promise(env, &wait->deferred, &promise) != napi_ok ||
	    napi_create_string_utf8(env, "agsight:wait", NAPI_AUTO_LENGTH, &name) != napi_ok ||
	    napi_create_async_work(env, arguments[0], name, wait_in_thread, finish_wait, wait, &wait->work) != napi_ok ||
	    napi_queue_async_work(env, wait->work) != napi_ok) {
		free(wait);
		return throw_errno(env, "wait for the ring", ENOMEM);
	}
	session->waiting = true;
	return promise;
}

/* Host ------------------------------------------------------------------------------------------- */

/* clocks() → [CLOCK_MONOTONIC, CLOCK_REALTIME] of one instant, BigInt nanoseconds */
static napi_value clocks(napi_env env, napi_callback_info info)
{
	struct timespec monotonic, realtime;
	napi_value result, value;

	(void)info;
	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	clock_gettime(CLOCK_REALTIME, &realtime);
	napi_create_array_with_length(env, 2, &result);
	napi_create_bigint_int64(env, monotonic.tv_sec * 1000000000ll + monotonic.tv_nsec, &value);
	napi_set_element(env, result, 0, value);
	napi_create_bigint_int64(env, realtime.tv_sec * 1000000000ll + realtime.tv_nsec, &value);
	napi_set_element(env, result, 1, value);
	return result;
}

/* hasUprobeMulti() → boolean */
static napi_value has_uprobe_multi(napi_env env, napi_callback_info info)
{
	napi_value result = NULL;

	(void)info;
	napi_get_boolean(env, kernel_has_uprobe_multi(), &result);
	return result;
}

NAPI_MODULE_INIT()
{
	static const struct {
		const char *name;
		napi_callback function;
	} functions[] = {
		{ "load", load },
		{ "close", close_ },
		{ "attachTracepoint", attach_tracepoint },
		{ "attachUprobeMulti", attach_uprobe_multi },
		{ "attachUprobePerf", attach_uprobe_perf },
		{ "detach", detach },
		{ "setElement", set_element },
		{ "deleteElement", delete_element },
		{ "readCounter", read_counter },
		{ "openRing", open_ring },
		{ "drain", drain },
		{ "wait", wait_ },
		{ "clocks", clocks },
		{ "hasUprobeMulti", has_uprobe_multi },
	};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		napi_value function;

		if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].function, NULL, &function) != napi_ok ||
		    napi_set_named_property(env, exports, functions[i].name, function) != napi_ok)
			return NULL;
	}
	return exports;
}
