/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A runtime of the smallest kind for the guest's test programs: no C library, and every C function
 * compiled with -mgeneral-regs-only.  The FPU registers of a program therefore hold what its one
 * assembly block loads, from the load to the exit, and the kernel's initial state everywhere else.
 */
#ifndef GUEST_H
#define GUEST_H

#define SIGABRT 6
#define SIGUSR1 10
#define SIGSTOP 19
#define DEFAULT_INTERVAL_MS 10

#ifdef __x86_64__
enum {
	NR_write = 1, NR_mmap = 9, NR_rt_sigaction = 13, NR_rt_sigprocmask = 14, NR_rt_sigreturn = 15,
	NR_nanosleep = 35, NR_getpid = 39, NR_clone = 56, NR_fork = 57, NR_vfork = 58,
	NR_execve = 59, NR_exit = 60, NR_wait4 = 61, NR_kill = 62, NR_readlink = 89, NR_ptrace = 101,
	NR_rt_sigsuspend = 130, NR_prctl = 157, NR_gettid = 186, NR_timer_create = 222,
	NR_timer_settime = 223, NR_exit_group = 231,
};
#else
enum {
	NR_write = 4, NR_rt_sigreturn = 173, NR_rt_sigaction = 174, NR_rt_sigprocmask = 175,
	NR_rt_sigsuspend = 179, NR_gettid = 224, NR_exit_group = 252, NR_timer_create = 259,
	NR_timer_settime = 260, NR_timer_settime64 = 409,
};
#endif

static inline long syscall4(long number, long a, long b, long c, long d)
{
	long result;
#ifdef __x86_64__
	register long r10 __asm__("r10") = d;
	__asm__ volatile("syscall"
		: "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
		: "rcx", "r11", "memory");
#else
	__asm__ volatile("int $0x80"
		: "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
#endif
	return result;
}

static inline _Noreturn void quit(long status)
{
	for (;;)
		syscall4(NR_exit_group, status, 0, 0, 0);
}

/* --- the one line of output --- */

struct line {
	char text[160];
	unsigned long length;
};

static inline void put(struct line *line, const char *text)
{
	while (*text && line->length < sizeof(line->text))
		line->text[line->length++] = *text++;
}

static inline void put_number(struct line *line, unsigned long value)
{
	char digits[21];
	int at = sizeof(digits) - 1;

	digits[at] = 0;
	do
		digits[--at] = '0' + value % 10;
	while (value /= 10);
	put(line, digits + at);
}

static inline void put_field(struct line *line, const char *key, unsigned long value)
{
	put(line, " ");
	put(line, key);
	put(line, "=");
	put_number(line, value);
}

static inline void begin(struct line *line, const char *name)
{
	line->length = 0;
	put(line, "guest: ");
	put(line, name);
}

/* Write the line with one write(2), so that lines of several tasks never mix. */
static inline void put_verdict(struct line *line, int ok)
{
	put(line, ok ? " ok\n" : " corrupt\n");
	syscall4(NR_write, 1, (long)line->text, line->length, 0);
}

static inline void announce(const char *name, unsigned long pid, unsigned long signals, int ok)
{
	struct line line;

	begin(&line, name);
	put_field(&line, "pid", pid);
	put_field(&line, "signals", signals);
	put_verdict(&line, ok);
}

static inline _Noreturn void fail(const char *name, const char *what)
{
	struct line line;

	begin(&line, name);
	put(&line, " failed: ");
	put(&line, what);
	put(&line, "\n");
	syscall4(NR_write, 1, (long)line.text, line.length, 0);
	quit(1);
}

/* --- small helpers --- */

static inline int same(const void *left, const void *right, unsigned long size)
{
	const unsigned char *a = left, *b = right;

	while (size && *a == *b)
		a++, b++, size--;
	return !size;
}

static inline unsigned long number(const char *text)
{
	unsigned long value = 0;

	while (*text >= '0' && *text <= '9')
		value = value * 10 + (*text++ - '0');
	return value;
}

/* What the command line asks for: NAME [SIGNALS [INTERVAL_MS]], 0 signals: for ever. */
struct request {
	unsigned long limit;
	unsigned long interval_ms;
};

static inline struct request parse(int argc, char **argv)
{
	struct request request = { 0, DEFAULT_INTERVAL_MS };

	if (argc > 1)
		request.limit = number(argv[1]);
	if (argc > 2)
		request.interval_ms = number(argv[2]);
	if (!request.limit)
		request.limit = ~0ul;
	if (!request.interval_ms)
		request.interval_ms = 1;
	return request;
}

/* --- time --- */

struct timespec {
	long long seconds;
	long long nanoseconds;
};

static inline struct timespec milliseconds(unsigned long count)
{
	struct timespec time = { count / 1000, count % 1000 * 1000000 };
	return time;
}

/* --- the entry point: _start hands argc, argv to run() --- */

int run(int argc, char **argv);

#ifdef __x86_64__
__asm__(".globl _start\n_start: mov (%rsp), %edi\n\tlea 8(%rsp), %rsi\n\tand $-16, %rsp\n"
	"\tcall run\n\tmov %eax, %edi\n\tmov $231, %eax\n\tsyscall\n");
#else
__asm__(".globl _start\n_start: mov %esp, %eax\n\tand $-16, %esp\n\tsub $8, %esp\n"
	"\tlea 4(%eax), %edx\n\tpush %edx\n\tpush (%eax)\n"
	"\tcall run\n\tmov %eax, %ebx\n\tmov $252, %eax\n\tint $0x80\n");
#endif

#endif
