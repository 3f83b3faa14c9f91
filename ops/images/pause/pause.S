# The pause program, x86-64: process 1 of a pod. It owns the pod's namespaces, reaps orphans and leaves on TERM or INT.
# No handlers: the signals are blocked and taken one by one with rt_sigtimedwait(2).
# After a change run build-pause.ts; pause.gen.ts carries the bytes.
.globl _start
.text
_start:
    push  $0x14002              # the set {INT 2, TERM 15, CHLD 17}: bit (signal - 1)
    mov   %rsp, %rsi
    xor   %edi, %edi            # SIG_BLOCK
    xor   %edx, %edx
    mov   $8, %r10d             # sizeof(kernel sigset)
    mov   $14, %eax             # rt_sigprocmask
    syscall
next:
    mov   %rsp, %rdi
    xor   %esi, %esi
    xor   %edx, %edx            # no time limit
    mov   $8, %r10d
    mov   $128, %eax            # rt_sigtimedwait
    syscall
    cmp   $17, %eax
    je    reap
    cmp   $2, %eax
    je    leave
    cmp   $15, %eax
    jne   next                  # EINTR after a stop and continue
leave:
    xor   %edi, %edi
    mov   $231, %eax            # exit_group(0)
    syscall
reap:
    mov   $-1, %rdi
    xor   %esi, %esi
    mov   $1, %edx              # WNOHANG
    xor   %r10d, %r10d
    mov   $61, %eax             # wait4
    syscall
    test  %rax, %rax
    jg    reap                  # several children may hide behind one CHLD
    jmp   next
