/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls a function SSL_write of its own, and does what unrelated programs do: what these cost is what a capture adds.
 *
 * Usage: tls-load write BYTES CALLS [PER_SECOND]  CALLS calls with BYTES bytes each, as fast as can be or so many a second
 *        tls-load talk BYTES CALLS                as fast as can be, and each time through a socket, as a TLS library does
 *        tls-load wait write|talk …               the same once a probe has been put on SSL_write
 *        tls-load spawn COUNT                     so many runs of /bin/true
 *        tls-load system COUNT                    so many system calls
 *        tls-load run COMMAND ARGS…               the command, without its output
 *        tls-load idle                            nothing, until it is killed
 * Prints how many, the nanoseconds that they took, and those of them that it and its children were on a CPU: on a busy
 * machine only these say something.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000ull
#define WAIT_SECONDS 30
/* From the first probe to the last. */
#define SETTLE_US 700000
/* Calls between two looks at the clock. */
#define BURST_NS 1000000ull

__attribute__((noinline)) static void encrypt(void *ssl, const void *bytes)
{
	__asm__ volatile("" ::"r"(ssl), "r"(bytes) : "memory");
}

/*
 * Has a frame because it calls something: its first instruction is the push of the frame pointer, as in the OpenSSL of
 * Codex. What it is makes a difference of ten microseconds to every kind of probe.
 */
__attribute__((visibility("default"), noinline)) int SSL_write(void *ssl, const void *bytes, int count)
{
	encrypt(ssl, bytes);
	return count;
}

/* bcc's sslsniff refuses a program without it. */
__attribute__((visibility("default"), noinline)) int SSL_read(void *ssl, void *bytes, int count)
{
	encrypt(ssl, bytes);
	return count;
}

static unsigned long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * NS + time.tv_nsec;
}

static unsigned long long cpu_time(void)
{
	static const int whose[] = { RUSAGE_SELF, RUSAGE_CHILDREN };
	unsigned long long sum = 0;

	for (int i = 0; i < 2; i++) {
		struct rusage usage;

		getrusage(whose[i], &usage);
		sum += (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * NS;
		sum += (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ull;
	}
	return sum;
}

/* A probe changes the first instruction of the function, or the one behind an endbr64. */
static int wait_for_probe(void)
{
	volatile unsigned char *code = (volatile unsigned char *)SSL_write;
	unsigned char first = code[0], fifth = code[4];
	unsigned long long end = now() + WAIT_SECONDS * NS;

	while (code[0] == first && code[4] == fifth) {
		if (now() > end)
			return 0;
		usleep(1000);
	}
	usleep(SETTLE_US);
	return 1;
}

static void write_calls(int bytes, unsigned long calls, unsigned long per_second)
{
	static char connection[64];
	char *buffer = malloc(bytes);
	unsigned long burst = per_second ? per_second * BURST_NS / NS : calls;
	unsigned long long next = now();

	memset(buffer, 1, bytes);
	for (unsigned long done = 0; done < calls;) {
		for (unsigned long i = 0; i < burst && done < calls; i++, done++)
			SSL_write(connection, buffer, bytes);
		if (per_second) {
			next += BURST_NS;
			struct timespec time = { next / NS, next % NS };

			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
		}
	}
}

static void talk_calls(int bytes, unsigned long calls)
{
	static char connection[64];
	char *buffer = malloc(bytes);
	int ends[2];

	memset(buffer, 1, bytes);
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends))
		exit(1);
	while (calls-- > 0) {
		SSL_write(connection, buffer, bytes);
		if (send(ends[0], buffer, bytes, 0) != bytes || recv(ends[1], buffer, bytes, 0) != bytes)
			exit(1);
	}
}

static void run_command(char **command)
{
	pid_t child = vfork();

	if (child == 0) {
		int nothing = open("/dev/null", O_RDWR);

		dup2(nothing, 0);
		dup2(nothing, 1);
		dup2(nothing, 2);
		execv(command[0], command);
		_exit(127);
	}
	int status;

	waitpid(child, &status, 0);
	if (status != 0) {
		fprintf(stderr, "the command ended with status %d\n", status);
		exit(1);
	}
}

static void spawn(unsigned long count)
{
	while (count-- > 0) {
		pid_t child = vfork();

		if (child == 0) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(127);
		}
		waitpid(child, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	unsigned long long start, start_cpu;
	unsigned long count;

	if (argc > 1 && strcmp(argv[1], "wait") == 0) {
		if (!wait_for_probe()) {
			fprintf(stderr, "no probe was put on SSL_write\n");
			return 1;
		}
		argv++, argc--;
	}
	if (argc > 1 && strcmp(argv[1], "idle") == 0)
		pause();
	if (argc < 3)
		return 2;
	count = strtoul(argv[argc > 3 ? 3 : 2], NULL, 10);
	start_cpu = cpu_time();
	start = now();
	if (strcmp(argv[1], "write") == 0 && argc > 3) {
		write_calls(atoi(argv[2]), count, argc > 4 ? strtoul(argv[4], NULL, 10) : 0);
	} else if (strcmp(argv[1], "talk") == 0 && argc > 3) {
		talk_calls(atoi(argv[2]), count);
	} else if (strcmp(argv[1], "run") == 0) {
		run_command(argv + 2);
		count = 1;
	} else if (strcmp(argv[1], "spawn") == 0) {
		spawn(count);
	} else if (strcmp(argv[1], "system") == 0) {
		for (unsigned long i = 0; i < count; i++)
			syscall(SYS_getppid);
	} else {
		return 2;
	}
	printf("%lu %llu %llu\n", count, now() - start, cpu_time() - start_cpu);
	return 0;
}
