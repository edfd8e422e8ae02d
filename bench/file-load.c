/*
 * Changes and reads files and prints how long one system call takes, in nanoseconds: of the changes (open, write, close,
 * rename, unlink in turn), of the reads (4 KiB each), and of a call that nobody follows. It measures batches of calls and
 * tells the tenth percentile, which other work on the machine hardly moves.
 *
 * Usage: file-load DIRECTORY BATCHES
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

#define BATCH 20

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return (difference > 0) - (difference < 0);
}

static char block[4096];
static int large;

static void change(void)
{
	int file = openat(AT_FDCWD, "first", O_WRONLY | O_CREAT, 0644);

	if (file < 0 || write(file, "0123456789", 10) != 10 || close(file) ||
	    renameat(AT_FDCWD, "first", AT_FDCWD, "second") || unlinkat(AT_FDCWD, "second", 0))
		exit(1);
}

static void read_block(void)
{
	for (int i = 0; i < 5; i++) {
		if (pread(large, block, sizeof(block), 0) != sizeof(block))
			exit(1);
	}
}

static void other(void)
{
	for (int i = 0; i < 5; i++)
		syscall(SYS_getppid);
}

static double measure(void (*five_calls)(void), int batches)
{
	double *times = malloc(batches * sizeof(*times));

	for (int i = 0; i < batches; i++) {
		double begin = now();

		for (int round = 0; round < BATCH; round++)
			five_calls();
		times[i] = (now() - begin) / BATCH / 5;
	}
	qsort(times, batches, sizeof(*times), compare);
	return times[batches / 10];
}

int main(int argc, char **argv)
{
	int batches = argc > 2 ? atoi(argv[2]) : 0;
	double costs[3];

	if (batches < 1 || chdir(argv[1]))
		return 1;
	large = openat(AT_FDCWD, "large", O_RDWR | O_CREAT, 0644);
	if (large < 0 || write(large, block, sizeof(block)) != sizeof(block))
		return 1;
	costs[0] = measure(change, batches);
	costs[1] = measure(read_block, batches);
	costs[2] = measure(other, batches);
	unlink("large");
	printf("%.0f %.0f %.0f\n", costs[0], costs[1], costs[2]);
	return 0;
}
