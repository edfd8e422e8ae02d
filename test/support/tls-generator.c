/*
 * A program with its own SSL_* functions that move known bytes: what a capture of it must hold is exact, and
 * no TLS library is needed. Byte i of a direction of a connection is (i * 7 + seed) & 0xff.
 *
 * Usage: tls-generator SCRIPT, where SCRIPT is a sequence of steps separated by commas:
 *   w<n>   SSL_write_ex of n bytes          W<n>  SSL_write of n bytes
 *   r<n>   SSL_read_ex of n bytes           R<n>  SSL_read of n bytes
 *   p<n>   SSL_write_ex of n bytes that writes half of them
 *   f      SSL_read_ex that fails           c<n>  go on with connection n
 *   h      SSL_do_handshake                 u<n>  SSL_write_ex from memory that is not resident
 *   a<n>   EVP_AEAD_CTX_seal of n bytes in place, then EVP_AEAD_CTX_open of what came of it
 *   A<n>   the same with TLS 1.2's additional data
 *   t<n>   as A<n>, sealed by EVP_AEAD_CTX_seal_scatter
 *   g<n>   as a<n>, with functions that take and return things as ring's do, then an opening that fails
 *   x<n>   fork a child that exits with n   k     fork a child that is killed by SIGKILL
 *   e      run /bin/true                    s<n>  sleep n milliseconds
 *   *<n>   repeat the step before n more times
 *   l<n>   from here on, at most n steps in a second, by sleeping when it is ahead
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default"), noinline))
#define CONNECTIONS 16
#define LARGEST (32 << 20)

struct connection {
	uint64_t sent;
	uint64_t received;
};

static struct connection connections[CONNECTIONS];
static unsigned char *buffer;
static int succeed = 1;
static int halve;

static void fill(unsigned char *bytes, uint64_t from, size_t count, int seed)
{
	for (size_t i = 0; i < count; i++)
		bytes[i] = (unsigned char)((from + i) * 7 + seed);
}

EXPORTED int SSL_write_ex(void *ssl, const void *bytes, size_t count, size_t *written)
{
	struct connection *connection = ssl;

	(void)bytes;
	*written = halve ? count / 2 : count;
	connection->sent += *written;
	__asm__ volatile("" ::: "memory");
	return succeed;
}

EXPORTED int SSL_write(void *ssl, const void *bytes, int count)
{
	struct connection *connection = ssl;

	(void)bytes;
	connection->sent += count;
	__asm__ volatile("" ::: "memory");
	return count;
}

EXPORTED int SSL_read_ex(void *ssl, void *bytes, size_t count, size_t *read)
{
	struct connection *connection = ssl;

	if (!succeed)
		return 0;
	fill(bytes, connection->received, count, 2);
	connection->received += count;
	*read = count;
	return 1;
}

EXPORTED int SSL_read(void *ssl, void *bytes, int count)
{
	struct connection *connection = ssl;

	fill(bytes, connection->received, count, 2);
	connection->received += count;
	return count;
}

EXPORTED int SSL_do_handshake(void *ssl)
{
	memset(ssl, 0, sizeof(struct connection));
	__asm__ volatile("" ::: "memory");
	return 1;
}

/* The "encryption": what follows the call must not be taken for the plaintext. */
static void scramble(unsigned char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		bytes[i] ^= 0x5a;
}

EXPORTED int EVP_AEAD_CTX_seal(const void *context, unsigned char *out, size_t *out_length, size_t max_out_length,
			       const unsigned char *nonce, size_t nonce_length, const unsigned char *in, size_t in_length,
			       const unsigned char *additional, size_t additional_length)
{
	struct connection *connection = (struct connection *)context;

	(void)max_out_length, (void)nonce, (void)nonce_length, (void)additional_length;
	__asm__ volatile("" ::"r"(additional) : "memory");
	memmove(out, in, in_length);
	scramble(out, in_length);
	*out_length = in_length + 16;
	connection->sent += in_length;
	return 1;
}

EXPORTED int EVP_AEAD_CTX_seal_scatter(const void *context, unsigned char *out, unsigned char *out_tag,
				       size_t *out_tag_length, size_t max_out_tag_length, const unsigned char *nonce,
				       size_t nonce_length, const unsigned char *in, size_t in_length,
				       const unsigned char *extra, size_t extra_length,
				       const unsigned char *additional, size_t additional_length)
{
	struct connection *connection = (struct connection *)context;

	(void)nonce, (void)nonce_length, (void)extra, (void)extra_length, (void)additional_length;
	__asm__ volatile("" ::"r"(additional) : "memory");
	memmove(out, in, in_length);
	scramble(out, in_length);
	memset(out_tag, 0, max_out_tag_length);
	*out_tag_length = max_out_tag_length;
	connection->sent += in_length;
	return 1;
}

EXPORTED int EVP_AEAD_CTX_open(const void *context, unsigned char *out, size_t *out_length, size_t max_out_length,
			       const unsigned char *nonce, size_t nonce_length, const unsigned char *in, size_t in_length,
			       const unsigned char *additional, size_t additional_length)
{
	struct connection *connection = (struct connection *)context;

	(void)max_out_length, (void)nonce, (void)nonce_length, (void)additional_length;
	__asm__ volatile("" ::"r"(additional) : "memory");
	memmove(out, in, in_length - 16);
	scramble(out, in_length - 16);
	*out_length = in_length - 16;
	connection->received += *out_length;
	return succeed;
}

static void seal_and_open(struct connection *connection, size_t count, size_t additional_length, int scatters)
{
	unsigned char additional[13] = { 23, 3, 3, 0x12, 0x34, 5, 6, 7, 23, 3, 3, 0x56, 0x78 };
	unsigned char nonce[12] = { 0 };
	unsigned char tag[16];
	size_t sealed;

	fill(buffer, connection->sent, count, 1);
	if (scatters)
		EVP_AEAD_CTX_seal_scatter(connection, buffer, tag, &sealed, sizeof(tag), nonce, sizeof(nonce), buffer, count,
					  NULL, 0, additional, additional_length);
	else
		EVP_AEAD_CTX_seal(connection, buffer, &sealed, count + 16, nonce, sizeof(nonce), buffer, count, additional, additional_length);
	EVP_AEAD_CTX_open(connection, buffer, &sealed, count + 16, nonce, sizeof(nonce), buffer, count + 16, additional, additional_length);
}

/* Rust returns a tag, or that there is none, as C returns a structure of this size: where the caller wants it. */
struct tag {
	unsigned char is_missing;
	unsigned char bytes[16];
};

EXPORTED struct tag aes_gcm_seal(const void *key, const unsigned char *nonce, const unsigned char *additional,
				 size_t additional_length, unsigned char *in_out, size_t length)
{
	(void)nonce, (void)additional_length;
	__asm__ volatile("" ::"r"(additional) : "memory");
	scramble(in_out, length);
	((struct connection *)key)->sent += length;
	return (struct tag){ 0 };
}

EXPORTED struct tag aes_gcm_open(const void *key, const unsigned char *nonce, const unsigned char *additional,
				 size_t additional_length, unsigned char *in_out, size_t length, size_t start)
{
	(void)nonce, (void)additional_length;
	__asm__ volatile("" ::"r"(additional) : "memory");
	memmove(in_out, in_out + start, length - start);
	scramble(in_out, length - start);
	if (succeed)
		((struct connection *)key)->received += length - start;
	return (struct tag){ .is_missing = !succeed };
}

static void seal_and_open_in_rust(struct connection *connection, size_t count)
{
	static const size_t start = 5;
	unsigned char additional[5] = { 23, 3, 3, 0x12, 0x34 };
	unsigned char nonce[12] = { 0 };

	fill(buffer, connection->sent, count, 1);
	aes_gcm_seal(connection, nonce, additional, sizeof(additional), buffer, count);
	memmove(buffer + start, buffer, count);
	aes_gcm_open(connection, nonce, additional, sizeof(additional), buffer, count + start, start);
	succeed = 0;
	aes_gcm_open(connection, nonce, additional, sizeof(additional), buffer, count + start, start);
	succeed = 1;
}

static long rate;
static long steps_at_rate;
static struct timespec rate_start;

/* Sleeps when the steps at this rate are a millisecond ahead or more: shorter sleeps cost more than they space. */
static void keep_rate(void)
{
	struct timespec now;
	int64_t ahead;

	if (rate == 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	ahead = steps_at_rate++ * 1000000000ll / rate - (now.tv_sec - rate_start.tv_sec) * 1000000000ll -
		(now.tv_nsec - rate_start.tv_nsec);
	if (ahead >= 1000000)
		usleep(ahead / 1000);
}

static void wait_for(pid_t child)
{
	int status;

	waitpid(child, &status, 0);
}

static void step(char kind, long n, struct connection **current)
{
	struct connection *connection = *current;
	size_t count;
	pid_t child;

	keep_rate();
	switch (kind) {
	case 'w':
	case 'p':
		halve = kind == 'p';
		fill(buffer, connection->sent, n, 1);
		SSL_write_ex(connection, buffer, n, &count);
		halve = 0;
		break;
	case 'W':
		fill(buffer, connection->sent, n, 1);
		SSL_write(connection, buffer, n);
		break;
	case 'r':
		SSL_read_ex(connection, buffer, n, &count);
		break;
	case 'R':
		SSL_read(connection, buffer, n);
		break;
	case 'f':
		succeed = 0;
		SSL_read_ex(connection, buffer, 100, &count);
		succeed = 1;
		break;
	case 'a':
		seal_and_open(connection, n, 5, 0);
		break;
	case 'A':
		seal_and_open(connection, n, 13, 0);
		break;
	case 't':
		seal_and_open(connection, n, 13, 1);
		break;
	case 'g':
		seal_and_open_in_rust(connection, n);
		break;
	case 'c':
		*current = &connections[n];
		break;
	case 'h':
		SSL_do_handshake(connection);
		break;
	case 'u': {
		void *absent = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		SSL_write_ex(connection, absent, n, &count);
		munmap(absent, n);
		break;
	}
	case 'x':
		child = fork();
		if (child == 0)
			_exit(n);
		wait_for(child);
		break;
	case 'k':
		child = fork();
		if (child == 0) {
			raise(SIGKILL);
			_exit(0);
		}
		wait_for(child);
		break;
	case 'e':
		child = fork();
		if (child == 0) {
			execl("/bin/true", "true", "an argument", "", "ünïcode", (char *)NULL);
			_exit(127);
		}
		wait_for(child);
		break;
	case 's':
		usleep(n * 1000);
		break;
	case 'l':
		rate = n;
		steps_at_rate = 0;
		clock_gettime(CLOCK_MONOTONIC, &rate_start);
		break;
	}
}

int main(int argc, char **argv)
{
	struct connection *current = &connections[0];
	char last_kind = 's';
	long last = 0;

	if (argc != 2)
		return 2;
	buffer = malloc(LARGEST);
	memset(buffer, 1, LARGEST);
	for (char *text = strtok(argv[1], ","); text; text = strtok(NULL, ",")) {
		long n = text[1] ? atol(text + 1) : 0;

		if (text[0] == '*') {
			while (n-- > 0)
				step(last_kind, last, &current);
			continue;
		}
		last_kind = text[0];
		last = n;
		step(last_kind, last, &current);
	}
	return 0;
}
