/* SPDX-License-Identifier: Apache-2.0
 *
 * Turns a compiled BPF object into a light skeleton: a loader program for the kernel, the data that it reads,
 * and the order of the maps and programs in its context. Runs when the kernel side changes, never at
 * `npm install`: libbpf does all the work here so that the shim needs nothing of it later.
 *
 * Usage: generate OBJECT > SKELETON.json
 */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* BPF_TRACE_UPROBE_MULTI, which the headers of older distributions do not know. */
#define UPROBE_MULTI 48

struct blob {
	unsigned char *bytes;
	size_t size;
};

static void die(const char *what)
{
	fprintf(stderr, "generate: %s\n", what);
	exit(1);
}

static struct blob copy(const void *bytes, size_t size)
{
	struct blob blob = { malloc(size), size };

	if (!blob.bytes)
		die("out of memory");
	memcpy(blob.bytes, bytes, size);
	return blob;
}

static void print_base64(const char *name, struct blob blob, const char *end)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	printf("  \"%s\": \"", name);
	for (size_t i = 0; i < blob.size; i += 3) {
		unsigned left = blob.size - i;
		unsigned word = blob.bytes[i] << 16 | (left > 1 ? blob.bytes[i + 1] << 8 : 0) | (left > 2 ? blob.bytes[i + 2] : 0);

		putchar(alphabet[word >> 18]);
		putchar(alphabet[word >> 12 & 63]);
		putchar(left > 1 ? alphabet[word >> 6 & 63] : '=');
		putchar(left > 2 ? alphabet[word & 63] : '=');
	}
	printf("\"%s\n", end);
}

/* Generates the loader with the probes' attach type set to `attach_type`. */
static struct bpf_object *generate(const char *path, int attach_type, struct blob *insns, struct blob *data)
{
	struct gen_loader_opts options = { .sz = sizeof(options) };
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;

	if (!object)
		die("cannot open the object");
	bpf_object__for_each_program(program, object) {
		if (bpf_program__type(program) == BPF_PROG_TYPE_KPROBE)
			bpf_program__set_expected_attach_type(program, attach_type);
	}
	if (bpf_object__gen_loader(object, &options) || bpf_object__load(object))
		die("cannot generate the loader");
	*insns = copy(options.insns, options.insns_sz);
	*data = copy(options.data, options.data_sz);
	return object;
}

int main(int argc, char **argv)
{
	struct blob insns, data, other_insns, other_data;
	struct bpf_program *program;
	struct bpf_object *object;
	struct bpf_map *map;
	const char *separator = "";

	if (argc != 2)
		die("usage: generate OBJECT");
	object = generate(argv[1], 0, &insns, &data);
	generate(argv[1], UPROBE_MULTI, &other_insns, &other_data);
	if (insns.size != other_insns.size || memcmp(insns.bytes, other_insns.bytes, insns.size) || data.size != other_data.size)
		die("the attach type changes more than the data");

	printf("{\n  \"maps\": [");
	bpf_object__for_each_map(map, object) {
		printf("%s\"%s\"", separator, bpf_map__name(map));
		separator = ", ";
	}
	printf("],\n  \"programs\": [");
	separator = "";
	bpf_object__for_each_program(program, object) {
		printf("%s\"%s\"", separator, bpf_program__name(program));
		separator = ", ";
	}
	/* Where the attach types of the probes stand in the data: 0 for perf events, 48 for uprobe_multi. */
	printf("],\n  \"attachTypePositions\": [");
	separator = "";
	for (size_t i = 0; i < data.size; i++) {
		if (data.bytes[i] == other_data.bytes[i])
			continue;
		if (data.bytes[i] != 0 || other_data.bytes[i] != UPROBE_MULTI)
			die("the attach type is not stored as expected");
		printf("%s%zu", separator, i);
		separator = ", ";
	}
	printf("],\n");
	print_base64("instructions", insns, ",");
	print_base64("data", data, "");
	printf("}\n");
	return 0;
}
