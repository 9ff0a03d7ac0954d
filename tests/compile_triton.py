"""Compiles every Triton kernel for an NVIDIA H100, which needs no GPU; prints a line of counts for each.

It is a program of its own, for it must not see Triton's interpreter.
"""

from triton import compile as compile_kernel
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from cores.kernels import triton_gru, triton_lstm, triton_scans
from cores.kernels.cuda_launch import BLOCK_B, LANES, cut

H100, PROCESSORS, H = GPUTarget("cuda", 90, 32), 132, 96
TYPES = {"T": "i32", "B": "i32", "counters": "*i32", "reset": "*u8"}


def compiled(kernel, constants, **options):
    """Returns the PTX of a kernel; the machine code has been made as well."""
    names = kernel.arg_names
    signature = {name: "constexpr" if name in constants else TYPES.get(name, "*fp32") for name in names}
    pointers = [k for k, name in enumerate(names) if signature[name].startswith("*")]
    source = ASTSource(
        fn=kernel,
        signature=signature,
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={(k,): [["tt.divisibility", 16]] for k in pointers},
    )
    result = compile_kernel(source, target=H100, options=options)
    assert result.asm["cubin"]
    assert result.metadata.shared <= 227 * 1024  # what an H100 has for one program
    return result.asm["ptx"]


def show(name, ptx, *more):
    """Prints how often a kernel uses tensor cores and waits for other programs."""
    print(name, *more, ptx.count("mma.sync"), ptx.count("atom.global.gpu.release"), flush=True)


LSTMS = [(True, "refine", 1, 4), (False, "master", 3, 4 + 2 / 3)]
for num_envs in (40, 4000):
    _, sharing, terms, rows, lanes, num_warps = cut(num_envs, H, PROCESSORS)
    sizes = {"H": H, "SHARING": sharing, "BLOCK_B": BLOCK_B, "BLOCK_K": terms, "ROWS": rows, "BLOCK_H": lanes}
    launch = {"num_warps": num_warps, "launch_cooperative_grid": sharing > 1}
    for precision in ("ieee", "tf32"):
        sizes["PRECISION"] = precision
        for kernel in (triton_lstm.forward, triton_lstm.backward):
            for cumax, help, chunk, widths in LSTMS:
                cell = {"CUMAX": cumax, "HELP": help, "C": chunk, "G": round(widths * H)}
                show("lstm", compiled(kernel, sizes | cell, **launch), precision, sharing > 1)
        for kernel in (triton_gru.forward, triton_gru.backward):
            for refined in (False, True):
                cell = {"REFINED": refined, "G": (3 + refined) * H}
                show("gru", compiled(kernel, sizes | cell, **launch), precision, sharing > 1)
for name in ("mingru_forward", "mingru_backward", "lru_forward", "lru_backward"):
    ptx = compiled(getattr(triton_scans, name), {"H": H, "BLOCK": LANES}, num_warps=LANES // 32)
    show("scan", ptx, "ieee", False)
