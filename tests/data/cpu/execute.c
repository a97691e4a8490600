// SPDX-License-Identifier: GPL-2.0-or-later
// Executes one instruction on this CPU with given registers and says what they hold afterwards.
//
// The argument is the address to execute at. A line of input is the instruction's bytes,
// RFLAGS and 16 registers, all hex; a line of output rip, RFLAGS and the 16 registers, or the
// signal that came instead. Everything around the instruction is int3, so the CPU stops behind it.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static const int order[16] = {REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI,
			      REG_RBP, REG_RSP, REG_R8,	 REG_R9,  REG_R10, REG_R11,
			      REG_R12, REG_R13, REG_R14, REG_R15};
static sigjmp_buf back;
static greg_t in[16], out[16], rip, flags;
static volatile int how;

static void enter(int signal, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	for (int i = 0; i < 16; i++)
		regs[order[i]] = in[i];
	regs[REG_RIP] = rip;
	regs[REG_EFL] = (regs[REG_EFL] & ~0xcd5LL) | (flags & 0xcd5);
}

static void leave(int signal, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	for (int i = 0; i < 16; i++)
		out[i] = regs[order[i]];
	how = signal == SIGTRAP && info->si_code == SI_KERNEL ? 0 : signal;
	rip = regs[REG_RIP] - (how == 0); // int3 leaves rip behind itself
	if (signal == SIGSEGV && (greg_t)info->si_addr == rip)
		how = 0; // a jump to where there is no memory got there
	flags = regs[REG_EFL] & 0xcd5;
	siglongjmp(back, 1);
}

static void catch(int signal, void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	sigaction(signal, &action, NULL);
}

int main(int argc, char **argv)
{
	unsigned char *code = (void *)strtoull(argv[1], NULL, 16);
	stack_t stack = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
	char text[64];

	if (mmap(code - 4096, 3 * 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
		return 1;
	sigaltstack(&stack, NULL);
	catch(SIGUSR1, enter);
	catch(SIGTRAP, leave);
	catch(SIGSEGV, leave);
	catch(SIGBUS, leave);
	catch(SIGILL, leave);
	catch(SIGFPE, leave);
	while (scanf("%60s %llx", text, (unsigned long long *)&flags) == 2) {
		for (int i = 0; i < 16; i++)
			if (scanf("%llx", (unsigned long long *)&in[i]) != 1)
				return 1;
		memset(code - 4096, 0xcc, 3 * 4096);
		for (int i = 0; text[2 * i]; i++)
			sscanf(text + 2 * i, "%2hhx", code + i);
		rip = (greg_t)code;
		alarm(10);
		if (!sigsetjmp(back, 1))
			raise(SIGUSR1);
		alarm(0);
		if (how)
			printf("signal %d", how);
		else
			printf("%llx %llx", (unsigned long long)rip, (unsigned long long)flags);
		for (int i = 0; i < 16; i++)
			printf(" %llx", (unsigned long long)out[i]);
		printf("\n");
		fflush(stdout);
	}
	return 0;
}
