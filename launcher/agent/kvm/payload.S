# What a kernel does in its first second, run by the KVM probe from guest-physical 0x1000 in real mode.
# Writes a letter to port 0xe9 after each stage, and 0x15 to port 0xf4 at the end.
#
# A software interpreter behind /dev/kvm passes simple probes: stages B (long mode) and C (timer interrupt) ran on one
# in which no stock kernel boots. It fails at int3 and at cmpxchg16b, and would need a minute for the loop.

        .set    ORIGIN, 0x1000
        .set    PML4, 0x10000
        .set    PDPT, 0x11000
        .set    LOW, 0x12000            # page directory of the first GiB
        .set    HIGH, 0x13000           # and of the fourth, where the local APIC is
        .set    IDT, 0x14000
        .set    DATA, 0x15000
        .set    STACK, 0x18000
        .set    APIC, 0xfee00000
        .set    TIMER, 0x40

        .macro  stage letter
        mov     $\letter, %al
        out     %al, $0xe9
        .endm

        .macro  gate vector, handler    # a 64-bit interrupt gate; spoils rax and rdi
        lea     \handler(%rip), %rax
        mov     $IDT + \vector * 16, %edi
        mov     %ax, (%rdi)
        movw    $0x18, 2(%rdi)
        movw    $0x8e00, 4(%rdi)
        shr     $16, %rax
        mov     %ax, 6(%rdi)
        movl    $0, 8(%rdi)
        movl    $0, 12(%rdi)
        .endm

        .text
        .code16
start:  cli
        xor     %ax, %ax
        mov     %ax, %ds
        lgdtl   gdtr - start + ORIGIN
        mov     %cr0, %eax
        or      $1, %eax
        mov     %eax, %cr0
        ljmpl   $0x08, $protected - start + ORIGIN

        .code32
protected:
        mov     $0x10, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $STACK, %esp
        stage   'A'
        # identity-map the first and the fourth GiB by pages of 2 MiB
        mov     $PML4, %edi
        xor     %eax, %eax
        mov     $0x4000 / 4, %ecx
        rep stosl
        movl    $PDPT + 3, PML4
        movl    $LOW + 3, PDPT
        movl    $HIGH + 3, PDPT + 24
        mov     $0x83, %eax
        xor     %ecx, %ecx
1:      mov     %eax, LOW(, %ecx, 8)
        mov     %eax, %edx
        or      $0xc0000000, %edx
        mov     %edx, HIGH(, %ecx, 8)
        add     $0x200000, %eax
        inc     %ecx
        cmp     $512, %ecx
        jne     1b
        mov     %cr4, %eax
        or      $0x620, %eax            # PAE, OSFXSR, OSXMMEXCPT
        mov     %eax, %cr4
        mov     $PML4, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx       # EFER.LME
        rdmsr
        or      $0x100, %eax
        wrmsr
        mov     %cr0, %eax
        or      $0x80010000, %eax       # PG, WP
        and     $0xfffffffb, %eax       # EM off
        mov     %eax, %cr0
        ljmp    $0x18, $long - start + ORIGIN

        .code64
long:   stage   'B'
        mov     $IDT, %edi
        xor     %eax, %eax
        mov     $0x1000 / 8, %ecx
        rep stosq
        gate    3, breakpoint
        gate    14, fault
        gate    TIMER, tick
        lidt    idtr(%rip)
        movl    $0, DATA
        movl    $0, DATA + 4

        # C: a one-shot timer of the local APIC wakes the processor from hlt
        mov     $0xff, %al              # both legacy interrupt controllers off
        out     %al, $0x21
        out     %al, $0xa1
        mov     $APIC, %ebx
        movl    $0x1ff, 0xf0(%rbx)
        movl    $0x0b, 0x3e0(%rbx)
        movl    $TIMER, 0x320(%rbx)
        movl    $100000, 0x380(%rbx)
2:      sti
        hlt
        cli
        cmpl    $0, DATA
        je      2b
        stage   'C'

        # D: int3, which Linux tests at boot
        int3
        cmpl    $1, DATA + 4
        jne     bad
        stage   'D'

        # E: cmpxchg16b, without which Linux's allocator does not work
        xor     %eax, %eax
        xor     %edx, %edx
        mov     $1, %ebx
        mov     $2, %ecx
        movq    $0, DATA + 16
        movq    $0, DATA + 24
        lock cmpxchg16b DATA + 16
        jne     bad
        cmpq    $2, DATA + 24
        jne     bad
        stage   'E'

        # F: state of the floating-point unit
        fninit
        fxsave  DATA + 0x200
        fxrstor DATA + 0x200
        stage   'F'

        # G: speed. 10 ms on a processor, a minute in an interpreter
        mov     $30000000, %ecx
3:      incl    DATA + 8
        dec     %ecx
        jnz     3b
        stage   'G'

        # H: page tables that change, and the translations of them
        mov     $20000, %ecx
4:      movl    $0x200083, LOW + 8
        invlpg  0x200000
        incl    0x200000
        dec     %ecx
        jnz     4b
        stage   'H'

        # I: a page fault, mended by its handler
        movl    $0, LOW + 8
        invlpg  0x200000
        incl    0x200000
        stage   'I'

        mov     $0x15, %al
        out     %al, $0xf4
bad:    mov     $0xff, %al
        out     %al, $0xf4
5:      hlt
        jmp     5b

breakpoint:
        movl    $1, DATA + 4
        iretq

fault:  movl    $0x200083, LOW + 8
        add     $8, %rsp                # the error code
        iretq

tick:   movl    $1, DATA
        push    %rbx
        mov     $APIC, %ebx
        movl    $0, 0xb0(%rbx)          # end of interrupt
        pop     %rbx
        iretq

        .balign 8
gdt:    .quad   0
        .quad   0x00cf9a000000ffff      # 0x08: code, 32 bits
        .quad   0x00cf92000000ffff      # 0x10: data
        .quad   0x00af9a000000ffff      # 0x18: code, 64 bits
gdtr:   .word   gdtr - gdt - 1
        .long   gdt - start + ORIGIN
idtr:   .word   0xfff
        .quad   IDT
