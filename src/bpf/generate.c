/* SPDX-License-Identifier: Apache-2.0
 *
 * Turns a compiled BPF object into a light skeleton: a loader program for the kernel, the data that it reads and where
 * they stand for what depends on the kernel, and the order of the maps and programs in its context. Runs when the kernel
 * side changes, never at `npm install`: libbpf does all the work here so that the shim needs nothing of it later.
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

struct loader {
	struct bpf_object *object;
	struct blob insns;
	struct blob data;
};

/* Generates the loader with the probes' attach type and the hash maps' flags. */
static struct loader generate(const char *path, int attach_type, int map_flags)
{
	struct gen_loader_opts options = { .sz = sizeof(options) };
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;
	struct bpf_map *map;

	if (!object)
		die("cannot open the object");
	bpf_object__for_each_map(map, object) {
		if (bpf_map__type(map) == BPF_MAP_TYPE_HASH)
			bpf_map__set_map_flags(map, map_flags);
	}
	bpf_object__for_each_program(program, object) {
		if (bpf_program__type(program) == BPF_PROG_TYPE_KPROBE)
			bpf_program__set_expected_attach_type(program, attach_type);
	}
	if (bpf_object__gen_loader(object, &options) || bpf_object__load(object))
		die("cannot generate the loader");
	return (struct loader){ object, copy(options.insns, options.insns_sz), copy(options.data, options.data_sz) };
}

/* Prints where the data of `other` have `value` in place of 0, which is all that they may differ in. */
static void print_positions(const char *name, const struct loader *loader, const struct loader *other, unsigned char value)
{
	const char *separator = "";

	if (loader->insns.size != other->insns.size || memcmp(loader->insns.bytes, other->insns.bytes, loader->insns.size) ||
	    loader->data.size != other->data.size)
		die("an option changes more than the data");
	printf("  \"%s\": [", name);
	for (size_t i = 0; i < loader->data.size; i++) {
		if (loader->data.bytes[i] == other->data.bytes[i])
			continue;
		if (loader->data.bytes[i] != 0 || other->data.bytes[i] != value)
			die("an option is not stored as expected");
		printf("%s%zu", separator, i);
		separator = ", ";
	}
	printf("],\n");
}

int main(int argc, char **argv)
{
	struct loader loader, other;
	struct bpf_program *program;
	struct bpf_map *map;
	const char *separator = "";

	if (argc != 2)
		die("usage: generate OBJECT");
	loader = generate(argv[1], 0, 0);

	printf("{\n  \"maps\": [");
	bpf_object__for_each_map(map, loader.object) {
		printf("%s\"%s\"", separator, bpf_map__name(map));
		separator = ", ";
	}
	printf("],\n  \"programs\": [");
	separator = "";
	bpf_object__for_each_program(program, loader.object) {
		printf("%s\"%s\"", separator, bpf_program__name(program));
		separator = ", ";
	}
	printf("],\n");
	other = generate(argv[1], UPROBE_MULTI, 0);
	print_positions("uprobeMultiPositions", &loader, &other, UPROBE_MULTI);
	other = generate(argv[1], 0, BPF_F_NO_PREALLOC);
	print_positions("noPreallocPositions", &loader, &other, BPF_F_NO_PREALLOC);
	print_base64("instructions", loader.insns, ",");
	print_base64("data", loader.data, "");
	printf("}\n");
	return 0;
}
