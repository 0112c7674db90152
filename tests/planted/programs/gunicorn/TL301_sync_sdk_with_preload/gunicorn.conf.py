workers = 3
threads = 4
worker_class = "gthread"
preload_app = True
