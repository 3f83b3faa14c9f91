// The pause program, arm64; see pause.S for what it does and why.
.globl _start
.text
_start:
    mov   x9, #0x4002
    movk  x9, #0x1, lsl #16     // the set {INT 2, TERM 15, CHLD 17}
    str   x9, [sp, #-16]!
    mov   x0, #0                // SIG_BLOCK
    mov   x1, sp
    mov   x2, #0
    mov   x3, #8                // sizeof(kernel sigset)
    mov   x8, #135              // rt_sigprocmask
    svc   #0
next:
    mov   x0, sp
    mov   x1, #0
    mov   x2, #0                // no time limit
    mov   x3, #8
    mov   x8, #137              // rt_sigtimedwait
    svc   #0
    cmp   x0, #17
    b.eq  reap
    cmp   x0, #2
    b.eq  leave
    cmp   x0, #15
    b.ne  next                  // EINTR after a stop and continue
leave:
    mov   x0, #0
    mov   x8, #94               // exit_group(0)
    svc   #0
reap:
    mov   x0, #-1
    mov   x1, #0
    mov   x2, #1                // WNOHANG
    mov   x3, #0
    mov   x8, #260              // wait4
    svc   #0
    cmp   x0, #0
    b.gt  reap                  // several children may hide behind one CHLD
    b     next
