"""The harness: three parties for tests, from links up to processes on a hostile network.

- ``keys``: key directories and TLS contexts, right ones and wrong ones
- ``links``: sockets with TLS between three parties, and to a test that plays one
- ``tasks``: work in threads, whose outcome is kept
- ``executors``: three executors in this process, by hand or by the schedules of a plan
- ``joins``: parties that join in this process
- ``processes``: a job, its keys, tables and hosts in a directory, and party processes
- ``network``, ``relay``: strangers who reach a party, and who stands between two
- ``tables``: tables that are read without a process for each
- ``plans``: plans built where TensorFlow is, kept from run to run
- ``runs``: whole runs by such plans
"""
