"""Two processes under torch.distributed, for the tests of what several processes do."""

import multiprocessing
import os
import socket

import torch


def in_two_processes(work, folder):
    """Return what `work(rank, folder)` returns in each of two processes, joined by gloo.

    They are forked from one that has imported the module of `work`, a function at its top level.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [context.Process(target=_process, args=(work, rank, port, folder)) for rank in range(2)]
    for each in processes:
        each.start()
    for each in processes:
        each.join(300)
        each.kill()
    assert [each.exitcode for each in processes] == [0, 0]
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def _process(work, rank, port, folder):
    here = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "GROUP_RANK": 0}
    here |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    os.environ.update({name: str(value) for name, value in here.items()})
    torch.save(work(rank, folder), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()
