// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The FPU part of a 32-bit task's signal frame, as the kernel writes it: to standard output.
 *
 *	gcc -m32 -O1 -ffreestanding -nostdlib -static -fno-pie -no-pie -fno-stack-protector \
 *	    -mgeneral-regs-only -o sigframe32 sigframe32.c && ./sigframe32 > sigframe32.bin
 *
 * Freestanding, so that it needs no 32-bit C library. Loaded beforehand: FCW 0x0b7f; ST(0)
 * pi, ST(1) -2.25, ST(2) a quiet NaN with payload 0x123; xmm3 byte j is 0x30 + j.
 */
typedef unsigned int u32;
typedef unsigned char u8;

struct kernel_sigaction {
	void (*handler)(int number, void *info, void *context);
	u32 flags;
	void (*restorer)(void);
	u32 mask[2];
};

static const u8 st[3][10] = {
	{ 0x23, 0x01, 0, 0, 0, 0, 0, 0xc0, 0xff, 0x7f },
	{ 0, 0, 0, 0, 0, 0, 0, 0x90, 0x00, 0xc0 },
	{ 0x35, 0xc2, 0x68, 0x21, 0xa2, 0xda, 0x0f, 0xc9, 0x00, 0x40 },
};
static const unsigned short fcw = 0x0b7f;
static u8 xmm3[16];

static long call(long number, long a, long b, long c, long d)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
	return result;
}

static void on_signal(int number, void *info, void *context)
{
	/* ucontext: flags, link, stack (12), then sigcontext, whose 20th word is fpstate. */
	const u8 *frame = (const u8 *)((u32 *)context)[5 + 19];
	const u32 *software = (const u32 *)(frame + 112 + 464);
	u32 size = software[0] == 0x46505853 ? software[1] : 112 + 512;

	(void)number;
	(void)info;
	call(1, call(4, 1, (long)frame, size, 0) != (long)size, 0, 0, 0);
}

void _start(void)
{
	struct kernel_sigaction action = { on_signal, 4, 0, { 0, 0 } };	/* SA_SIGINFO */

	for (u32 j = 0; j < 16; j++)
		((volatile u8 *)xmm3)[j] = (u8)(0x30 + j);
	call(174, 10, (long)&action, 0, 8);	/* rt_sigaction(SIGUSR1) */
	__asm__ volatile("fninit; fldcw %0" : : "m"(fcw));
	for (int i = 0; i < 3; i++)
		__asm__ volatile("fldt %0" : : "m"(st[i]));
	__asm__ volatile("movdqu %0, %%xmm3" : : "m"(xmm3));
	call(37, call(20, 0, 0, 0, 0), 10, 0, 0);	/* kill(getpid(), SIGUSR1) */
	call(1, 3, 0, 0, 0);	/* the signal did not come */
}
