/* SPDX-License-Identifier: Apache-2.0
 *
 * Turns a compiled BPF object into a light skeleton: a loader program for the kernel and the data that it reads
 * (SKELETON.bin, one after the other), and what has to be known of them: where they stand for what depends on the kernel,
 * and the order of the maps and programs in its context (SKELETON.json). Runs when the kernel side changes, never at
 * `npm install`: libbpf does all the work here so that the shim needs nothing of it later.
 *
 * Usage: generate OBJECT SKELETON
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

/* A file of the skeleton, with this ending. */
static FILE *create(const char *skeleton, const char *ending)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s%s", skeleton, ending);
	file = fopen(path, "w");
	if (!file)
		die(path);
	return file;
}

static void write_blob(FILE *file, struct blob blob)
{
	if (fwrite(blob.bytes, 1, blob.size, file) != blob.size)
		die("cannot write the loader");
}

/* The loader keeps descriptors on its stack, of functions that are no programs too: of more than 32 it reads beyond. */
static void check_stack(struct blob instructions)
{
	const struct bpf_insn *instruction = (const void *)instructions.bytes;

	for (size_t i = 0; i < instructions.size / sizeof(*instruction); i++) {
		if (instruction[i].src_reg == BPF_REG_10 && BPF_CLASS(instruction[i].code) == BPF_LDX && instruction[i].off >= 0)
			die("more than 32 functions");
	}
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
static void print_positions(FILE *file, const char *name, const struct loader *loader, const struct loader *other,
			    unsigned char value)
{
	const char *separator = "";

	if (loader->insns.size != other->insns.size || memcmp(loader->insns.bytes, other->insns.bytes, loader->insns.size) ||
	    loader->data.size != other->data.size)
		die("an option changes more than the data");
	fprintf(file, "  \"%s\": [", name);
	for (size_t i = 0; i < loader->data.size; i++) {
		if (loader->data.bytes[i] == other->data.bytes[i])
			continue;
		if (loader->data.bytes[i] != 0 || other->data.bytes[i] != value)
			die("an option is not stored as expected");
		fprintf(file, "%s%zu", separator, i);
		separator = ", ";
	}
	fprintf(file, "],\n");
}

int main(int argc, char **argv)
{
	struct loader loader, other;
	struct bpf_program *program;
	struct bpf_map *map;
	const char *separator = "";
	FILE *file;

	if (argc != 3)
		die("usage: generate OBJECT SKELETON");
	loader = generate(argv[1], 0, 0);
	check_stack(loader.insns);
	file = create(argv[2], ".bin");
	write_blob(file, loader.insns);
	write_blob(file, loader.data);
	fclose(file);
	file = create(argv[2], ".json");

	fprintf(file, "{\n  \"maps\": [");
	bpf_object__for_each_map(map, loader.object) {
		fprintf(file, "%s\"%s\"", separator, bpf_map__name(map));
		separator = ", ";
	}
	fprintf(file, "],\n  \"programs\": [");
	separator = "";
	bpf_object__for_each_program(program, loader.object) {
		fprintf(file, "%s\"%s\"", separator, bpf_program__name(program));
		separator = ", ";
	}
	fprintf(file, "],\n");
	other = generate(argv[1], UPROBE_MULTI, 0);
	print_positions(file, "uprobeMultiPositions", &loader, &other, UPROBE_MULTI);
	other = generate(argv[1], 0, BPF_F_NO_PREALLOC);
	print_positions(file, "noPreallocPositions", &loader, &other, BPF_F_NO_PREALLOC);
	fprintf(file, "  \"instructionBytes\": %zu\n}\n", loader.insns.size);
	fclose(file);
	return 0;
}
