/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A runtime of the smallest kind for the guest's test programs: no C library, and every C function
 * compiled with -mgeneral-regs-only.  The FPU registers of a program therefore hold what its one
 * assembly block loads, from the load to the exit, and the kernel's initial state everywhere else.
 *
 * A program waits for its signals in rt_sigsuspend(2) and keeps SIGALRM blocked everywhere else:
 * each delivery interrupts exactly one rt_sigsuspend and is counted, and none follows the last one.
 */
#ifndef GUEST_H
#define GUEST_H

#define ENOSYS 38

#define SIGABRT 6
#define SIGUSR1 10
#define SIGALRM 14
#define SIGSTOP 19
#define DEFAULT_INTERVAL_MS 10

#ifdef __x86_64__
enum {
	NR_write = 1, NR_mmap = 9, NR_rt_sigaction = 13, NR_rt_sigprocmask = 14, NR_rt_sigreturn = 15,
	NR_nanosleep = 35, NR_getpid = 39, NR_clone = 56, NR_fork = 57,
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

/* --- signals --- */

struct timespec {
	long long seconds;
	long long nanoseconds;
};

static inline struct timespec milliseconds(unsigned long count)
{
	struct timespec time = { count / 1000, count % 1000 * 1000000 };
	return time;
}

struct action {
	void *handler;
	unsigned long flags;
	void *restorer;
	unsigned long mask[8 / sizeof(long)];
};

struct event {
	unsigned long value;
	int signo;
	int notify;
	int thread;
	int padding[12];
};

struct siginfo_timer {
	int head[sizeof(long) == 8 ? 4 : 3];
	int timer, overrun;
	volatile unsigned long *count;
};

#define SA_SIGINFO 4ul
#define SA_RESTORER 0x04000000ul
#define SIGEV_THREAD_ID 4
#define CLOCK_MONOTONIC 1
#define SIG_BLOCK 0

static const unsigned long nothing_blocked[8 / sizeof(long)];
static const unsigned long alarm_blocked[8 / sizeof(long)] = { 1ul << (SIGALRM - 1) };

void restorer(void);
#ifdef __x86_64__
__asm__(".globl restorer\nrestorer: mov $15, %eax\n\tsyscall\n");
#else
__asm__(".globl restorer\nrestorer: mov $173, %eax\n\tint $0x80\n");
#endif

/* The handler's whole work: the timer's si_value is the address of the task's counter. */
static void count_signal(int signo, struct siginfo_timer *info, void *context)
{
	(void)signo, (void)context;
	++*info->count;
}

static inline void install_handler(const char *name, int signo, void *handler)
{
	static struct action action;
	unsigned int word;

	action.handler = handler;
	action.flags = SA_SIGINFO | SA_RESTORER;
	action.restorer = restorer;
	for (word = 0; word < 8 / sizeof(long); word++)
		action.mask[word] = ~0ul;
	if (syscall4(NR_rt_sigaction, signo, (long)&action, 0, 8))
		fail(name, "rt_sigaction");
}

static inline long set_timer(int timer, const struct timespec periods[2])
{
#ifdef __x86_64__
	return syscall4(NR_timer_settime, timer, 0, (long)periods, 0);
#else
	/* Which of the two a kernel has: up to 5.0 the old one, later the old one as an option. */
	int narrow[4] = { periods[0].seconds, periods[0].nanoseconds,
			  periods[1].seconds, periods[1].nanoseconds };
	long result = syscall4(NR_timer_settime64, timer, 0, (long)periods, 0);

	return result != -ENOSYS ? result : syscall4(NR_timer_settime, timer, 0, (long)narrow, 0);
#endif
}

/* Block SIGALRM in this thread, then let a timer raise it every interval_ms, counted in *count. */
static inline void start_timer(const char *name, volatile unsigned long *count,
			       unsigned long interval_ms)
{
	struct timespec periods[2] = { milliseconds(interval_ms), milliseconds(interval_ms) };
	struct event event;
	int timer;

	event.value = (unsigned long)count;
	event.signo = SIGALRM;
	event.notify = SIGEV_THREAD_ID;
	event.thread = syscall4(NR_gettid, 0, 0, 0, 0);
	if (syscall4(NR_rt_sigprocmask, SIG_BLOCK, (long)alarm_blocked, 0, 8))
		fail(name, "rt_sigprocmask");
	install_handler(name, SIGALRM, count_signal);
	if (syscall4(NR_timer_create, CLOCK_MONOTONIC, (long)&event, (long)&timer, 0))
		fail(name, "timer_create");
	if (set_timer(timer, periods))
		fail(name, "timer_settime");
}

/*
 * Execute LOAD (assembly that loads registers from %[from]), sleep in rt_sigsuspend until `limit`
 * signals were counted, then STORE (assembly that stores them to %[to]): one block, in which
 * nothing but the kernel can change a register that LOAD has set.
 */
#ifdef __x86_64__
#define HOLD(LOAD, STORE, source, target, counter, limit_)				\
	__asm__ volatile(LOAD								\
		"1:	mov	$130, %%eax\n"	/* rt_sigsuspend(nothing_blocked, 8) */	\
		"	mov	%[mask], %%rdi\n"					\
		"	mov	$8, %%esi\n"						\
		"	syscall\n"							\
		"	mov	%[limit], %%rax\n"					\
		"	cmp	%%rax, (%[count])\n"					\
		"	jb	1b\n"							\
		STORE									\
		:: [from] "r"(source), [to] "r"(target), [count] "r"(counter),		\
		   [limit] "r"(limit_), [mask] "r"(nothing_blocked)			\
		: "rax", "rcx", "rdi", "rsi", "r11", "memory", "cc")
#else
#define HOLD(LOAD, STORE, source, target, counter, limit_)				\
	__asm__ volatile(LOAD								\
		"1:	mov	$179, %%eax\n"	/* rt_sigsuspend(nothing_blocked, 8) */	\
		"	push	%%ecx\n"						\
		"	mov	$8, %%ecx\n"						\
		"	int	$0x80\n"						\
		"	pop	%%ecx\n"						\
		"	mov	%[limit], %%eax\n"					\
		"	cmp	%%eax, (%%ecx)\n"					\
		"	jb	1b\n"							\
		STORE									\
		:: [from] "S"(source), [to] "D"(target), "c"(counter),			\
		   [limit] "d"(limit_), "b"(nothing_blocked)				\
		: "eax", "memory", "cc")
#endif

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
