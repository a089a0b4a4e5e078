"""The whole cluster in one process and one ``trio.run``, decided by a seed: ``tessera simulate``.

Production code on memory adapters, with everything around it that can go wrong. It is built to
find what breaks our promises, not to measure: nothing here has a socket or a real clock.
"""
