"""Events of an outside stream start runs; an event that comes twice starts one."""
