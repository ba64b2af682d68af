"""What the interpreter is started with. A script is compiled at each start, a module is not: so this
is short."""
import bastide_runtime

bastide_runtime.main()
