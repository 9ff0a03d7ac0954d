"""Runs the programs of a Triton kernel in turns, as a GPU runs them at once: each up to where it waits.

Triton's interpreter runs one program after the other, and one that waits for the next would wait for ever.
"""

import inspect
import threading

import triton.language as tl  # noqa: F401  the interpreter looks for it beside the function that it runs
from triton.runtime.interpreter import interpreter_builder


class Program:
    """One program, in a thread that runs only while it is told to.

    Attributes:
        visits: how often it has come to where the programs wait.
        ended: whether it has run to its end.
        error: what it failed by.
    """

    def __init__(self, index, work):
        self.index, self.visits, self.ended, self.error = index, 0, False, None
        self._go, self._paused = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work):
        self._go.acquire()
        try:
            work()
        except Exception as error:
            self.error = error
        self.ended = True
        self._paused.release()

    def wait(self, visit):
        """Called by the program: lets the others come as far."""
        self.visits += 1
        assert int(visit) == self.visits, "a visit is not counted, or counted twice"
        self._paused.release()
        self._go.acquire()

    def resume(self):
        """Lets it run until it waits or ends."""
        interpreter_builder.set_grid_idx(self.index, 0, 0)
        self._go.release()
        self._paused.acquire()
        if self.error is not None:
            raise self.error


class Turns:
    """Stands in for a kernel's function and for `meet`.

    Attributes:
        num_programs: programs of each launch.
    """

    def __init__(self):
        self.num_programs, self._programs, self._running = [], [], None

    def meet(self, counter, visit, SHARING):
        """Stands in for `triton_parts.meet`."""
        self._running.wait(visit)

    def taking(self, function):
        """Returns a function of the same signature that runs the programs in turns once it knows all."""

        def in_turns(**arguments):
            (num_programs, _, _), (index, _, _) = interpreter_builder.grid_dim, interpreter_builder.grid_idx
            self._programs.append(Program(index, lambda: function(**arguments)))
            if index == num_programs - 1:
                self._take()
                self.num_programs.append(num_programs)

        in_turns.__signature__ = inspect.signature(function)
        in_turns.__annotations__ = function.__annotations__
        return in_turns

    def _take(self):
        waiting, self._programs = self._programs, []
        while waiting:
            for program in waiting:
                self._running = program
                program.resume()
            going = [program for program in waiting if not program.ended]
            assert going in ([], waiting), "some programs wait for others that have ended"
            waiting = going
